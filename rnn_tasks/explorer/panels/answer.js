"use strict";
/** The panel of input, target and answer: the time line, the loss per step, and the likeliest symbols. */
Panels.answer = (() => {
    const {
        DASHED,
        list,
        element,
        setText,
        withChildren,
        find,
        shown,
        probabilities,
        argmax,
        lettersCanvas,
        visibleWidth,
        inputLetters,
        outputLetter,
        answersOf,
        quoted,
    } = Shared;
    const LIKELIEST = 5;

    /** Return the loss of each step in nats, NaN without target. */
    function losses(context, index) {
        return context.input.targets.map((target, step) =>
            target === Inputs.NOT_SCORED ? NaN : -Math.log(probabilities(context.runs[index].result, step)[target]),
        );
    }

    /** Return the loss of a predictor that knows the grammar, per step; null unless the grammar can produce the input. */
    function exactLosses(context) {
        if (!context.grammar) return null;
        const { input, task } = context;
        const text = input.symbols.map((symbol) => task.input_characters[symbol]).join("");
        const last = input.targets[input.targets.length - 1];
        const next = last === Inputs.NOT_SCORED ? "" : task.input_characters[last];
        const logs = Statistics.logProbabilities(context.grammar, text + next);
        if (logs[1] === null) return null; // a stored sequence may start within a word
        return input.targets.map((target, step) =>
            target === Inputs.NOT_SCORED || logs[step + 1] === null ? NaN : -logs[step + 1],
        );
    }

    function likeliest(shares, target) {
        const sorted = Array.from(shares, (_, symbol) => symbol).sort((a, b) => shares[b] - shares[a] || a - b);
        const top = sorted.slice(0, LIKELIEST);
        return target === Inputs.NOT_SCORED || top.includes(target) ? top : [...top, target];
    }

    function exactOdds(context) {
        if (!context.grammar) return null;
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

    /** Return the name of the baseline; its loss is a mean that may include steps which need no memory. */
    function baselineName({ task, sequences }) {
        const isMean = sequences && sequences.targets.some((target, i) => target >= 0 && !sequences.memory[i]);
        return isMean ? `${task.baseline.name}, mean over all steps` : task.baseline.name;
    }

    function drawLosses(context, canvas) {
        const { baseline } = context.task;
        const series = context.runs.map((run, index) => ({
            label: run.letter || "loss",
            values: losses(context, index),
            points: true,
        }));
        const exact = exactLosses(context);
        if (exact) series.push({ label: "exact odds", values: exact, dash: DASHED, points: true });
        const horizontal = [];
        if (baseline && baseline.loss !== null)
            horizontal.push({ label: baseline.name, value: baseline.loss, dash: DASHED });
        if (baseline && baseline.floor !== null) {
            horizontal.push({ label: "lower bound", value: baseline.floor, dash: DASHED });
        }
        Charts.lines(canvas, {
            width: visibleWidth(canvas),
            height: 150,
            series,
            horizontal,
            selected: context.step,
            columnWidth: context.cell,
            left: context.head,
            yLabel: "loss (nats)",
            xLabel: "step",
        });
    }

    /** Return how many answers to the input are right. */
    function rightAnswers(context) {
        const counted = context.input.memory.filter(Boolean).length;
        if (!counted) return "The page does not know the right answers to this input.";
        const texts = timeLineRows(context)
            .slice(2)
            .map(({ label, wrong }) => {
                const count = wrong.filter((isWrong, step) => isWrong && context.input.memory[step]).length;
                return `${label}: ${counted - count} of ${counted} right`;
            });
        return `On this input: ${texts.join("; ")}.`;
    }

    const answer = {
        title: "What does it answer?",

        /** Fill the time line and draw the losses; both are shared by the runs. */
        drawShared(context, table, canvas, accuracy) {
            fillTimeLine(context, table);
            drawLosses(context, canvas);
            accuracy.textContent = rightAnswers(context);
            canvas.setAttribute("aria-label", `Loss per step. ${accuracy.textContent}`);
        },

        draw(context, index, root) {
            const { input, step, task } = context;
            const shares = probabilities(context.runs[index].result, step);
            const target = input.targets[step];
            const best = argmax(shares);
            const parts = [
                `At step ${step} it reads ${quoted(task.input_symbols[input.symbols[step]])}.`,
                `Its likeliest ${task.is_text ? "next symbol" : "answer"} is ${quoted(task.output_symbols[best])} (${shown(shares[best])}).`,
            ];
            if (target !== Inputs.NOT_SCORED) {
                const loss = -Math.log(shares[target]);
                parts.push(
                    best === target
                        ? "That is right."
                        : `Right is ${quoted(task.output_symbols[target])} (${shown(shares[target])}).`,
                    `Loss: ${shown(loss)} nats${task.baseline ? ` (${baselineName(context)}: ${shown(task.baseline.loss)})` : ""}.`,
                );
            } else parts.push("This step is not scored.");
            find(root, "sentence").textContent = parts.join(" ");
            const exact = exactOdds(context);
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
                answers: answersOf(context, index).map((symbol) => context.task.output_symbols[symbol]),
                loss: list(losses(context, index)),
                exact_loss: exactLosses(context) ? list(exactLosses(context)) : null,
                probabilities_at_step: list(probabilities(result, context.step)),
            };
        },

        canvases: (context, root) => [
            lettersCanvas(context, timeLineRows(context)),
            ...root.querySelectorAll("canvas"),
        ],
    };

    return answer;
})();
