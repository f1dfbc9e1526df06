"use strict";
/** The panel of what an answer depends on: gradients, and the measured effect of exchanged inputs. */
Panels.memory = (() => {
    const {
        list,
        find,
        shown,
        targetOf,
        fillLetters,
        lettersCanvas,
        drawSteps,
        picturesOf,
        inputLetters,
        outputLetter,
        quoted,
        largest,
        lossName,
    } = Shared;

    /** Return values per step, followed by gaps up to the end of the input. */
    function padded(values, context) {
        return context.input.values.map((_, step) => (step < values.length ? values[step] : NaN));
    }

    /** Return the sentence on the answer and on how its dependence on earlier inputs is measured. */
    function memoryText(context, { target, loss, replacements, first, isComplete }) {
        const { task, step } = context;
        const answer = task.real_targets
            ? `Output at step ${step}: squared error ${shown(loss)}. `
            : `Answer at step ${step}: ${quoted(outputLetter(context, target))}, loss ${shown(loss)} nats. `;
        const exchange = task.real_inputs
            ? "the input of a step is replaced by inputs of the stored sequences in turn"
            : "a symbol is replaced by other letters in turn";
        return (
            `${answer}Measured: mean change of this ${task.real_targets ? "error" : "loss"} when ${exchange}, at most ` +
            `${replacements}${first ? `, from step ${first} on` : ""}${isComplete ? "." : " (computing …)."}`
        );
    }

    const memory = {
        title: "What does it remember for this answer?",

        draw(context, index, root) {
            const run = context.runs[index];
            const sentence = find(root, "sentence");
            const canvases = [find(root, "exchange"), find(root, "gradient")];
            const hasTarget = targetOf(context, index, context.step) !== Inputs.NOT_SCORED;
            root.classList.toggle("stale", !run.memory && run.model.live && hasTarget);
            find(root, "live").hidden = !hasTarget || !run.model.live;
            if (!hasTarget) {
                sentence.textContent = "This step has no target, so there is no error to explain: choose a scored step.";
                return;
            }
            if (!run.memory) {
                if (!run.model.live) sentence.textContent = "Not available: the page cannot run this network.";
                return;
            }
            const { gradient, changes } = run.memory;
            const letters = inputLetters(context).slice(0, context.step + 1);
            const effect = Array.from(changes);
            sentence.textContent = memoryText(context, run.memory);
            const titles = letters.map(
                (_, t) => `step ${t}: gradient ${shown(gradient.inputs[t])}, measured ${shown(effect[t])} nats`,
            );
            const most = largest(gradient.inputs) || 1;
            fillLetters(
                find(root, "by-gradient"),
                letters,
                gradient.inputs.map((value) => -value),
                most,
                context.step,
                titles,
                context.actions.setStep,
            );
            const limit = largest(effect.filter(Number.isFinite)) || 1;
            fillLetters(
                find(root, "by-exchange"),
                letters,
                effect.map((value) => (Number.isFinite(value) ? value : 0)),
                limit,
                context.step,
                titles,
                context.actions.setStep,
            );
            drawSteps(context, canvases[0], {
                height: 150,
                series: [
                    { label: "measured", values: padded(effect, context), points: true },
                    { label: "predicted by the gradient", values: padded(run.memory.predicted, context) },
                ],
                horizontal: [{ value: 0 }],
                yLabel: `change of ${lossName(context.task)}`,
                xLabel: "exchanged step",
            });
            drawSteps(context, canvases[1], {
                height: 150,
                series: [
                    { label: "by the state", values: padded(gradient.states, context), points: true },
                    { label: "by the input", values: padded(gradient.inputs, context) },
                ],
                log: true,
                yLabel: "gradient norm",
            });
            canvases[0].setAttribute(
                "aria-label",
                "Measured change of the loss by the exchange of each earlier symbol",
            );
            canvases[1].setAttribute("aria-label", "Norm of the gradient of the loss by each earlier state and input");
        },

        numbers(context, index) {
            const found = context.runs[index].memory;
            if (!found) return null;
            return {
                answer: context.task.real_targets ? null : outputLetter(context, found.target),
                is_complete: found.isComplete,
                loss: found.loss,
                gradient_by_state: list(found.gradient.states),
                gradient_by_input: list(found.gradient.inputs),
                mean_change_of_loss_by_exchange: list(found.changes),
                change_predicted_by_gradient: list(found.predicted),
                replacements: found.replacements,
            };
        },

        canvases(context, root) {
            const letters = inputLetters(context).slice(0, context.step + 1);
            return picturesOf(context, root, ({ memory: found }) => {
                if (!found || context.task.real_inputs) return [];
                const byGradient = found.gradient.inputs.map((value) => -value);
                const byExchange = found.changes.map((value) => (Number.isFinite(value) ? value : 0));
                const rows = [
                    { label: "gradient", letters, values: byGradient, limit: largest(byGradient) || 1 },
                    { label: "measured", letters, values: byExchange, limit: largest(byExchange) || 1 },
                ];
                return [lettersCanvas(context, rows)];
            });
        },
    };

    return memory;
})();
