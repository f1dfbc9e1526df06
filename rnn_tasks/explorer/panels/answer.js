"use strict";
/** The panel of input, target and answer: the time line or curves, the loss per step, and the outputs of a step. */
Panels.answer = (() => {
    const {
        list,
        element,
        setText,
        withChildren,
        find,
        shown,
        probabilities,
        argmax,
        lossAt,
        lossName,
        featureLabel,
        outputLabel,
        largest,
        lettersCanvas,
        drawSteps,
        inputLetters,
        outputLetter,
        answersOf,
        quoted,
        picturesOf,
    } = Shared;
    const LIKELIEST = 5;
    const MOST_CURVES = 6;
    const PLATEAU_DASHES = [[9, 3, 2, 3], [2, 2], [6, 3, 1, 3, 1, 3]];

    /** Return the loss of each step, NaN without target. */
    function losses(context, index) {
        return context.input.targets.map((target, step) => lossAt(context.runs[index].result, step, target));
    }

    /**
     * Return the loss of a predictor that knows the grammar, per step; null unless the grammar can produce the input.
     * A stored sequence may start within a sentence, so that its odds are not known.
     */
    function exactLosses(context) {
        if (!context.grammar || context.view.sequence !== null) return null;
        const { input, task } = context;
        const text = input.values.map((symbol) => task.input_characters[symbol]).join("");
        const last = input.targets[input.targets.length - 1];
        const next = last === Inputs.NOT_SCORED ? "" : task.input_characters[last];
        const logs = Statistics.logProbabilities(context.grammar, text + next);
        if (logs[1] === null) return null;
        return input.targets.map((target, step) =>
            target === Inputs.NOT_SCORED || logs[step + 1] === null ? NaN : -logs[step + 1],
        );
    }

    /** Return the likeliest symbols; the right one is always among them. */
    function likeliest(shares, target) {
        const sorted = Array.from(shares, (_, symbol) => symbol).sort((a, b) => shares[b] - shares[a] || a - b);
        const top = sorted.slice(0, LIKELIEST);
        if (target !== Inputs.NOT_SCORED && !top.includes(target)) top[top.length - 1] = target;
        return top;
    }

    function exactOdds(context) {
        if (!context.grammar || context.view.sequence !== null) return null;
        const { input, task, step } = context;
        const text = input.values
            .slice(0, step + 1)
            .map((symbol) => task.input_characters[symbol])
            .join("");
        return Statistics.grammarOdds(context.grammar, text);
    }

    /**
     * Return the rows of the time line: {label, letters, className, wrong: whether each letter is a wrong answer}. Only
     * answers that count in the accuracy can be wrong, since nothing can predict some of the others. Real inputs and
     * outputs have no letters, see `drawCurves`.
     */
    function timeLineRows(context) {
        const { input, task, runs } = context;
        const rows = [];
        if (!task.real_inputs) rows.push({ label: "input", letters: inputLetters(context), className: "input" });
        if (task.real_targets) return rows;
        const hidesSteps = !task.is_text && input.due.includes(1);
        const name = task.is_text ? "likeliest" : "answer";
        rows.push({
            label: "target",
            letters: input.targets.map((target) => outputLetter(context, target)),
            className: "target",
        });
        runs.forEach((run, index) => {
            const answers = answersOf(context, index);
            rows.push({
                label: runs.length > 1 ? `${name} ${run.letter}` : name,
                letters: answers.map((symbol, step) =>
                    hidesSteps && !input.due[step] ? " " : outputLetter(context, symbol),
                ),
                className: "answer",
                wrong: answers.map((symbol, step) => {
                    const target = input.targets[step];
                    return input.memory[step] && target !== Inputs.NOT_SCORED && symbol !== target;
                }),
            });
        });
        return rows;
    }

    /** Return the charts of real inputs and outputs: {title, label of the vertical axis, series}. */
    function curvesOf(context) {
        const { input, task, runs } = context;
        const curves = [];
        if (task.real_inputs) {
            const count = Math.min(task.input_size, MOST_CURVES);
            const series = Array.from({ length: count }, (_, feature) => ({
                label: featureLabel(task, feature),
                values: input.values.map((values) => values[feature]),
            }));
            const rest = count < task.input_size ? ` (the first ${count} of ${task.input_size})` : "";
            curves.push({ title: "Inputs per step", yLabel: `input${rest}`, series });
        }
        for (let output = 0; task.real_targets && output < Math.min(task.output_size, MOST_CURVES); output += 1) {
            const target = input.targets.map((values) => (values === Inputs.NOT_SCORED ? NaN : values[output]));
            const series = runs.map((run) => ({
                label: runs.length > 1 ? `network ${run.letter}` : "network",
                values: run.result.outputs.map((values) => values[output]),
            }));
            series.push({ label: "target", values: target });
            curves.push({ title: "Outputs and targets per step", yLabel: outputLabel(task, output), series });
        }
        return curves;
    }

    function drawCurves(context, canvases) {
        curvesOf(context).forEach(({ title, yLabel, series }, i) => {
            drawSteps(context, canvases[i], { height: 150, series, yLabel });
            canvases[i].setAttribute("aria-label", `${title}: ${yLabel}`);
        });
    }

    function fillTimeLine(context, table) {
        const { cell, head: headWidth, input, step, task } = context;
        table.hidden = task.real_inputs && task.real_targets;
        if (table.hidden) return;
        table.style.setProperty("--cell", `${cell}px`);
        table.style.setProperty("--head", `${headWidth}px`);
        const every = Math.max(1, Math.ceil(30 / cell / 5) * 5);
        const numbers = input.values.map((_, t) => (t % every === 0 ? String(t) : ""));
        const rows = [{ label: "step", letters: numbers, className: "number" }, ...timeLineRows(context)];
        const lines = withChildren(table.tBodies[0] || table.createTBody(), rows.length, () => element("tr"));
        lines.forEach((line, index) => {
            const { label, letters, className, wrong = [] } = rows[index];
            line.className = className;
            const [head, ...cells] = withChildren(line, letters.length + 1, () =>
                element(line.children.length ? "td" : "th"),
            );
            setText(head, label);
            cells.forEach((td, t) => {
                setText(td, letters[t]);
                td.classList.toggle("wrong", Boolean(wrong[t]));
                td.classList.toggle("selected", t === step);
                td.dataset.step = t;
            });
        });
    }

    /**
     * Return the baseline of an answer {name, loss}; null if it is not known.
     *
     * The baseline of a task is a mean over all scored steps, of which some may need no memory, such as the blanks of
     * copy. If guessing the answers, and being sure of all else, has this mean, then the loss of a guess is returned.
     */
    function answerBaseline({ task, sequences }) {
        const { baseline } = task;
        if (!baseline || baseline.loss === null) return null;
        if (task.real_targets) return { ...baseline, name: `baseline: ${baseline.name}` };
        const share = shareOfAnswers(task, sequences);
        if (share === 1) return baseline;
        const guess = -Math.log(baseline.accuracy);
        const isGuess = Math.abs(guess * share - baseline.loss) < 0.001 * baseline.loss;
        return isGuess
            ? { ...baseline, name: `${baseline.name} at an answer`, loss: guess }
            : { ...baseline, name: `${baseline.name}${MEAN}` };
    }

    const MEAN = ", mean over all steps";

    /** Return the share of the scored steps that count as answers. */
    function shareOfAnswers(task, sequences) {
        if (!sequences || task.is_text || task.real_targets) return 1;
        const scored = sequences.targets.filter((target) => target !== Inputs.NOT_SCORED).length;
        return sequences.memory.filter(Boolean).length / scored;
    }

    /** Return the plateaus whose loss is known, as lines of a chart. */
    function plateauLines({ task, sequences }) {
        const suffix = shareOfAnswers(task, sequences) === 1 ? "" : MEAN;
        return task.plateaus
            .filter(({ loss }) => loss !== null)
            .map(({ name, loss }, i) => ({
                label: `${name}${suffix}`,
                value: loss,
                dash: PLATEAU_DASHES[i % PLATEAU_DASHES.length],
            }));
    }

    function drawLosses(context, canvas) {
        const baseline = answerBaseline(context);
        const series = context.runs.map((run, index) => ({
            label: run.letter || "loss",
            values: losses(context, index),
            points: true,
        }));
        const exact = exactLosses(context);
        if (exact) series.push({ label: "exact odds", values: exact, points: true });
        const horizontal = [];
        if (baseline) horizontal.push({ label: baseline.name, value: baseline.loss, dash: [5, 4] });
        if (baseline && baseline.floor !== null) {
            horizontal.push({ label: "lowest possible", value: baseline.floor, dash: [1, 3] });
        }
        horizontal.push(...plateauLines(context));
        drawSteps(context, canvas, { height: 150, series, horizontal, yLabel: lossName(context.task) });
    }

    /** Return how many answers to the input are right, or how large the errors of real outputs are. */
    function rightAnswers(context) {
        const { input, task, runs } = context;
        if (task.real_targets) return `On this input: ${meanErrors(context)}.`;
        const counted = input.memory.filter(Boolean).length;
        if (!input.due.includes(1)) return "On this input, no answer is due.";
        if (!counted && task.strings && task.strings.answers === "next") return "The next symbol is not known.";
        if (!counted) {
            const advice = context.sequences ? " Those to the stored sequences are known." : "";
            return `The page does not know the right answers to a typed text of this task.${advice}`;
        }
        const isNext = task.is_text || (context.view.sequence === null && task.strings.answers === "next");
        const what = isNext ? "next symbols are the likeliest ones" : "answers are right";
        const texts = timeLineRows(context)
            .filter((row) => row.wrong)
            .map(({ wrong }, index) => {
                const count = wrong.filter(Boolean).length;
                return `${runs.length > 1 ? `${runs[index].letter}: ` : ""}${counted - count} of ${counted} ${what}`;
            });
        return `On this input: ${texts.join("; ")}.`;
    }

    /** Return the mean squared error of each run on the input. */
    function meanErrors(context) {
        return context.runs
            .map((run, index) => {
                const known = losses(context, index).filter((loss) => !Number.isNaN(loss));
                const mean = known.reduce((sum, loss) => sum + loss, 0) / known.length;
                const name = run.letter ? `${run.letter}: ` : "";
                return `${name}mean squared error ${shown(mean)} (scored steps: ${known.length})`;
            })
            .join("; ");
    }

    /** Return the start of the sentence on a step: what the network reads. */
    function readText({ input, step, task }) {
        const value = input.values[step];
        if (!task.real_inputs) return `At step ${step} it reads ${quoted(task.input_symbols[value])}.`;
        const numbers = value.slice(0, MOST_CURVES).map(shown).join(", ");
        return `At step ${step} it reads ${numbers}${value.length > MOST_CURVES ? ", …" : ""}.`;
    }

    /** Return the sentence on the real outputs of a run at the chosen step. */
    function outputText(context, outputs) {
        const { input, step, task } = context;
        const target = input.targets[step];
        const numbers = (values) => Array.from(values).slice(0, MOST_CURVES).map(shown).join(", ");
        const start = `${readText(context)} Its output is ${numbers(outputs)}.`;
        if (target === Inputs.NOT_SCORED) return `${start} This step is not scored.`;
        const baseline = answerBaseline(context);
        const reference = baseline ? ` (${baseline.name}, ${shown(baseline.loss)})` : "";
        const error = shown(lossAt({ outputs: { [step]: outputs } }, step, target));
        return `${start} The target is ${numbers(target)}. Squared error: ${error}${reference}.`;
    }

    /** Return the bars of real outputs, with their targets as marks. */
    function outputBars({ input, step, task }, outputs) {
        const target = input.targets[step];
        const isScored = target !== Inputs.NOT_SCORED;
        return Array.from(outputs, (value, output) => ({
            label: outputLabel(task, output),
            value,
            mark: isScored ? target[output] : null,
            text: shown(value) + (isScored ? ` (target ${shown(target[output])})` : ""),
        }));
    }

    /** Return the sentence on the answer of a run at the chosen step. */
    function answerText(context, shares) {
        const { input, step, task } = context;
        const target = input.targets[step];
        const best = argmax(shares);
        const start = `${readText(context)} `;
        if (best < 0) return `${start}Its answer is not a number.`;
        const what = task.is_text ? "next symbol" : "answer";
        const likely = `Its likeliest ${what} is ${quoted(task.output_symbols[best])} (${shown(shares[best])}).`;
        if (target === Inputs.NOT_SCORED) {
            return `${start}${likely} ${input.due[step] ? "The right one is not known." : "No answer is due here."}`;
        }
        const right = quoted(task.output_symbols[target]);
        const verdict = best === target ? "That is right." : `Right is ${right} (${shown(shares[target])}).`;
        const baseline = answerBaseline(context);
        const reference = baseline && input.memory[step] ? ` (${baseline.name}: ${shown(baseline.loss)})` : "";
        return `${start}${likely} ${verdict} Loss: ${shown(-Math.log(shares[target]))} nats${reference}.`;
    }

    /** Show the real outputs of a run at the chosen step. */
    function drawOutputs(context, index, root) {
        const outputs = context.runs[index].result.outputs[context.step];
        find(root, "sentence").textContent = outputText(context, outputs);
        const items = outputBars(context, outputs);
        const canvas = find(root, "next");
        Charts.bars(canvas, {
            width: Math.min(root.clientWidth, 480),
            items,
            limit: largest(items.flatMap(({ value, mark }) => [value, mark || 0])) || 1,
            signed: true,
            markLabel: items[0].mark === null ? "" : "target",
        });
        canvas.setAttribute("aria-label", items.map((item) => `${item.label}: ${item.text}`).join(", "));
    }

    const answer = {
        title: "What does it answer?",

        /** Add a canvas for each chart of real inputs and outputs before an element. */
        addCurves(task, before) {
            const outputs = task.real_targets ? Math.min(task.output_size, MOST_CURVES) : 0;
            for (let i = 0; i < Number(task.real_inputs) + outputs; i += 1) {
                const canvas = element("canvas", "", "curve");
                canvas.setAttribute("role", "img");
                before.before(canvas);
            }
        },

        /** Fill the time line, and draw the curves and the losses; they are shared by the runs. */
        drawShared(context, root) {
            const shared = { ...context, cell: context.sharedCell };
            const [canvas, accuracy] = [root.querySelector("#loss"), root.querySelector("#accuracy")];
            fillTimeLine(shared, root.querySelector("#time-line"));
            drawCurves(shared, root.querySelectorAll(".curve"));
            drawLosses(shared, canvas);
            accuracy.textContent = rightAnswers(context);
            canvas.setAttribute("aria-label", `Loss per step. ${accuracy.textContent}`);
        },

        draw(context, index, root) {
            const { task, step } = context;
            if (task.real_targets) {
                drawOutputs(context, index, root);
                return;
            }
            const shares = probabilities(context.runs[index].result, step);
            find(root, "sentence").textContent = answerText(context, shares);
            const exact = exactOdds(context);
            const target = context.input.targets[step];
            const items = likeliest(shares, target).map((symbol) => ({
                label: task.output_symbols[symbol],
                value: shares[symbol],
                mark: exact ? exact[task.output_characters[symbol]] || 0 : null,
                text: shown(shares[symbol]) + (symbol === target ? " (right)" : ""),
            }));
            const canvas = find(root, "next");
            Charts.bars(canvas, {
                width: Math.min(root.clientWidth, 480),
                items,
                limit: 1,
                markLabel: exact ? "exact odds" : "",
            });
            canvas.setAttribute("aria-label", items.map((item) => `${item.label}: ${item.text}`).join(", "));
        },

        numbers(context, index) {
            const { result } = context.runs[index];
            if (context.task.real_targets) {
                return { outputs: result.outputs.map(list), squared_error: list(losses(context, index)) };
            }
            return {
                answers: answersOf(context, index).map((symbol) => outputLetter(context, symbol)),
                loss: list(losses(context, index)),
                exact_loss: exactLosses(context) ? list(exactLosses(context)) : null,
                probabilities_at_step: list(probabilities(result, context.step)),
            };
        },

        canvases(context, root) {
            const charts = root.querySelectorAll(".curve, #loss");
            const rows = timeLineRows(context);
            const letters = rows.length ? [lettersCanvas(context, rows)] : [];
            return [...letters, ...charts, ...picturesOf(context, root)];
        },
    };

    return answer;
})();
