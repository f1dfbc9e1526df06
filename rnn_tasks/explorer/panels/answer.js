"use strict";
/** The panel of input, target and answer: the time line, the loss per step, and the likeliest symbols. */
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
        lettersCanvas,
        drawSteps,
        inputLetters,
        outputLetter,
        answersOf,
        quoted,
        picturesOf,
    } = Shared;
    const LIKELIEST = 5;

    /** Return the loss of each step in nats, NaN without target. */
    function losses(context, index) {
        return context.input.targets.map((target, step) =>
            target === Inputs.NOT_SCORED ? NaN : -Math.log(probabilities(context.runs[index].result, step)[target]),
        );
    }

    /**
     * Return the loss of a predictor that knows the grammar, per step; null unless the grammar can produce the input.
     * A stored sequence may start within a sentence, so that its odds are not known.
     */
    function exactLosses(context) {
        if (!context.grammar || context.view.sequence !== null) return null;
        const { input, task } = context;
        const text = input.symbols.map((symbol) => task.input_characters[symbol]).join("");
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
        const text = input.symbols
            .slice(0, step + 1)
            .map((symbol) => task.input_characters[symbol])
            .join("");
        return Statistics.grammarOdds(context.grammar, text);
    }

    /** Return the rows of the time line: {label, letters, className, wrong: whether each letter is a wrong answer}. */
    function timeLineRows(context) {
        const { input, task, runs } = context;
        const isUnscored = (step) => input.targets[step] === Inputs.NOT_SCORED;
        const hidesUnscored = !task.is_text && input.memory.includes(1);
        const name = task.is_text ? "likeliest" : "answer";
        return [
            { label: "input", letters: inputLetters(context), className: "input" },
            {
                label: "target",
                letters: input.targets.map((target) => outputLetter(context, target)),
                className: "target",
            },
            ...runs.map((run, index) => {
                const answers = answersOf(context, index);
                return {
                    label: runs.length > 1 ? `${name} ${run.letter}` : name,
                    letters: answers.map((symbol, step) =>
                        hidesUnscored && isUnscored(step) ? " " : outputLetter(context, symbol),
                    ),
                    className: "answer",
                    wrong: answers.map((symbol, step) => !isUnscored(step) && symbol !== input.targets[step]),
                };
            }),
        ];
    }

    function fillTimeLine(context, table) {
        const { cell, head: headWidth, input, step } = context;
        table.style.setProperty("--cell", `${cell}px`);
        table.style.setProperty("--head", `${headWidth}px`);
        const every = Math.max(1, Math.ceil(30 / cell / 5) * 5);
        const numbers = input.symbols.map((_, t) => (t % every === 0 ? String(t) : ""));
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
        if (!sequences || task.is_text) return baseline;
        const scored = sequences.targets.filter((target) => target !== Inputs.NOT_SCORED).length;
        const counted = sequences.memory.filter(Boolean).length;
        if (scored === counted) return baseline;
        const guess = -Math.log(baseline.accuracy);
        const isGuess = Math.abs((guess * counted) / scored - baseline.loss) < 0.001 * baseline.loss;
        return isGuess
            ? { ...baseline, name: `${baseline.name} at an answer`, loss: guess }
            : { ...baseline, name: `${baseline.name}, mean over all steps` };
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
            horizontal.push({ label: "lower bound", value: baseline.floor, dash: [1, 3] });
        }
        drawSteps(context, canvas, { height: 150, series, horizontal, yLabel: "loss (nats)" });
    }

    /** Return how many answers to the input are right. */
    function rightAnswers(context) {
        const { input, task, runs } = context;
        const counted = input.memory.filter(Boolean).length;
        if (!counted) {
            const isShort = task.strings && task.strings.answers === "letters" && context.view.sequence === null;
            return isShort
                ? "On this input, no answer is due."
                : "The page does not know the right answers to this input.";
        }
        const what = task.is_text ? "next symbols are the likeliest ones" : "answers are right";
        const texts = timeLineRows(context)
            .filter((row) => row.wrong)
            .map(({ wrong }, index) => {
                const count = wrong.filter((isWrong, step) => isWrong && input.memory[step]).length;
                return `${runs.length > 1 ? `${runs[index].letter}: ` : ""}${counted - count} of ${counted} ${what}`;
            });
        return `On this input: ${texts.join("; ")}.`;
    }

    /** Return the sentence on the answer of a run at the chosen step. */
    function answerText(context, shares) {
        const { input, step, task } = context;
        const target = input.targets[step];
        const best = argmax(shares);
        const start = `At step ${step} it reads ${quoted(task.input_symbols[input.symbols[step]])}. `;
        if (best < 0) return `${start}Its answer is not a number.`;
        const what = task.is_text ? "next symbol" : "answer";
        const likely = `Its likeliest ${what} is ${quoted(task.output_symbols[best])} (${shown(shares[best])}).`;
        if (target === Inputs.NOT_SCORED) return `${start}${likely} This step is not scored.`;
        const right = quoted(task.output_symbols[target]);
        const verdict = best === target ? "That is right." : `Right is ${right} (${shown(shares[target])}).`;
        const baseline = answerBaseline(context);
        const reference = baseline && input.memory[step] ? ` (${baseline.name}: ${shown(baseline.loss)})` : "";
        return `${start}${likely} ${verdict} Loss: ${shown(-Math.log(shares[target]))} nats${reference}.`;
    }

    const answer = {
        title: "What does it answer?",

        /** Fill the time line and draw the losses; both are shared by the runs. */
        drawShared(context, table, canvas, accuracy) {
            const shared = { ...context, cell: context.sharedCell };
            fillTimeLine(shared, table);
            drawLosses(shared, canvas);
            accuracy.textContent = rightAnswers(context);
            canvas.setAttribute("aria-label", `Loss per step. ${accuracy.textContent}`);
        },

        draw(context, index, root) {
            const { task, step } = context;
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
            return {
                answers: answersOf(context, index).map((symbol) => outputLetter(context, symbol)),
                loss: list(losses(context, index)),
                exact_loss: exactLosses(context) ? list(exactLosses(context)) : null,
                probabilities_at_step: list(probabilities(result, context.step)),
            };
        },

        canvases(context, root) {
            const loss = root.querySelector("#loss");
            return [lettersCanvas(context, timeLineRows(context)), loss, ...picturesOf(context, root)];
        },
    };

    return answer;
})();
