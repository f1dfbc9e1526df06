"use strict";
/**
 * What the panels of the page share. A panel has a `title`; `draw(context, index, element)`, which shows run `index` in
 * an element; `numbers(context, index)`, which returns what is shown as plain values; and `canvases(context, element)`,
 * the pictures to save. A panel keeps no state.
 *
 * context: {task, input, step, sequences, grammar, head, cell, sharedCell, view, actions, runs}; runs[index]: {model, view, part,
 * result, collected, order, memory, score, ranking, letter}.
 */
const Panels = {};

const Shared = (() => {
    const TEXT_WIDTH = 680;
    const AXIS_MARGIN = 4; // pixels above a plot that marks of the plot may reach
    const list = (values) =>
        Array.from(values, (value) => (Number.isFinite(value) ? Number(value.toPrecision(6)) : null));
    const element = (name, text = "", className = "") => {
        const created = document.createElement(name);
        created.textContent = text;
        created.className = className;
        return created;
    };
    const find = (root, name) => root.querySelector(`[data-part~="${name}"]`);

    /** Return the printed form of a number; "–" if it is not known. */
    const shown = (value) => Charts.formatNumber(value === undefined ? null : value);

    /** Return the probabilities of the output symbols at a step. */
    function probabilities(result, step) {
        return Engine.softmax(result.outputs[step], 0, result.outputs[step].length);
    }

    /** Return the index of the largest number; the first one of equal numbers, and -1 if one is not a number. */
    function argmax(values) {
        if (values.some(Number.isNaN)) return -1;
        return values.reduce((best, value, index) => (value > values[best] ? index : best), 0);
    }

    /**
     * Return the target of the loss at a step: the target of the input; without one the network's own answer if outputs
     * are symbols, else NOT_SCORED.
     */
    function targetOf(context, index, step) {
        const target = context.input.targets[step];
        if (target !== Inputs.NOT_SCORED || context.task.real_targets) return target;
        return argmax(context.runs[index].result.outputs[step]);
    }

    /** Return the loss at a step: in nats, or the mean squared error of real outputs; NaN without target. */
    function lossAt(result, step, target) {
        if (target === Inputs.NOT_SCORED) return NaN;
        if (!Array.isArray(target)) return -Math.log(probabilities(result, step)[target]);
        return target.reduce((sum, value, i) => sum + (result.outputs[step][i] - value) ** 2, 0) / target.length;
    }

    /** Return the name of the loss and its unit, for axes. */
    const lossName = (task) => (task.real_targets ? "squared error" : "loss (nats)");

    const numbered = (name, number, size) => (size > 1 ? `${name} ${number}` : name);
    const featureLabel = (task, feature) => numbered("input", feature, task.input_size);
    const outputLabel = (task, output) => numbered("output", output, task.output_size);

    /** Give an element a number of children, made by `create` where they are missing; return them. */
    function withChildren(root, count, create) {
        while (root.children.length > count) root.lastElementChild.remove();
        while (root.children.length < count) root.append(create());
        return Array.from(root.children);
    }

    /** Set the text of an element; setting the same text again would take time. */
    function setText(node, text) {
        if (node.textContent !== text) node.textContent = text;
    }

    /** Fill an element with letters that can be clicked; values from -limit to limit are shown by their background. */
    function fillLetters(root, letters, values, limit, selected, titles, onClick) {
        const theme = Charts.theme();
        const spans = withChildren(root, letters.length, () => element("span"));
        spans.forEach((span, step) => {
            setText(span, letters[step]);
            span.classList.toggle("selected", step === selected);
            span.style.background = Charts.colourScale(values[step], limit, theme);
            span.style.color = Charts.inkOn(values[step], limit, theme);
            span.title = titles[step];
        });
        root.onclick = (event) => {
            const step = spans.indexOf(event.target);
            if (step >= 0) onClick(step);
        };
    }

    /**
     * Return a canvas with rows of letters, for saving a text as a picture.
     *
     * @param context The context.
     * @param rows [{label, letters, wrong: optional, values and limit: optional, shown as in `fillLetters`}].
     */
    function lettersCanvas(context, rows) {
        const { head, cell } = context;
        const canvas = document.createElement("canvas");
        const theme = Charts.theme();
        const ratio = Math.max(
            1,
            Math.min(window.devicePixelRatio || 1, 16000 / (head + cell * context.input.values.length)),
        );
        const width = head + cell * context.input.values.length;
        canvas.width = Math.ceil(width * ratio);
        canvas.height = Math.ceil(24 * rows.length * ratio);
        canvas.style.width = `${width}px`;
        canvas.style.height = `${24 * rows.length}px`;
        const pen = canvas.getContext("2d");
        pen.scale(ratio, ratio);
        pen.textBaseline = "middle";
        rows.forEach((row, number) => {
            const middle = 24 * number + 12;
            pen.fillStyle = theme.muted;
            pen.textAlign = "left";
            pen.font = "12px system-ui, sans-serif";
            pen.fillText(row.label, 0, middle, head - 4);
            pen.textAlign = "center";
            row.letters.forEach((letter, step) => {
                const left = head + cell * step;
                const isWrong = row.wrong && row.wrong[step];
                let ink = isWrong ? theme.wrong : theme.ink;
                if (row.values) {
                    pen.fillStyle = Charts.colourScale(row.values[step], row.limit, theme);
                    pen.fillRect(left, 24 * number + 1, cell, 22);
                    ink = Charts.inkOn(row.values[step], row.limit, theme);
                }
                pen.fillStyle = ink;
                pen.font = `${isWrong ? "bold " : ""}${Math.min(14, cell)}px ui-monospace, monospace`;
                pen.fillText(letter, left + cell / 2, middle);
            });
        });
        return canvas;
    }

    /** Return a canvas with a text in lines of at most 680 pixels; `weight` is the weight of its font. */
    function textCanvas(text, weight = "normal") {
        const canvas = document.createElement("canvas");
        const pen = canvas.getContext("2d");
        const font = `${weight} 14px system-ui, sans-serif`;
        pen.font = font;
        const lines = [""];
        for (const word of text.split(" ")) {
            const longer = `${lines[lines.length - 1]} ${word}`.trim();
            if (pen.measureText(longer).width <= TEXT_WIDTH) lines[lines.length - 1] = longer;
            else lines.push(word);
        }
        const ratio = window.devicePixelRatio || 1;
        const [width, height] = [TEXT_WIDTH, 20 * lines.length + 4];
        Object.assign(canvas, { width: width * ratio, height: height * ratio });
        Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
        Object.assign(pen, { font, textBaseline: "middle", fillStyle: Charts.theme().ink });
        pen.scale(ratio, ratio);
        lines.forEach((line, index) => pen.fillText(line, 0, 20 * index + 12));
        return canvas;
    }

    /**
     * Draw lines over the steps of the input, aligned with the time line. A click or a drag chooses a step.
     *
     * @param context The context.
     * @param canvas The canvas, in an element that scrolls.
     * @param options Further options of `Charts.lines`.
     */
    function drawSteps(context, canvas, options) {
        const geometry = Charts.lines(canvas, {
            width: visibleWidth(canvas),
            selected: context.step,
            columnWidth: context.cell,
            left: context.head,
            xLabel: "step",
            ...options,
        });
        canvas.onclick = (event) => {
            const found = Charts.cellAt(geometry, event.offsetX, event.offsetY);
            if (found && found.column !== context.step) context.actions.setStep(found.column);
        };
        canvas.onpointermove = (event) => {
            if (event.buttons & 1) canvas.onclick(event);
        };
        keepAxis(canvas, geometry);
    }

    /**
     * Keep the axis and the legend of a chart in view when the chart is scrolled, by a copy that lies above it.
     *
     * @param canvas The canvas.
     * @param geometry {left, top} of the plot: the axis is to its left, the legend above it.
     */
    function keepAxis(canvas, { left, top }) {
        const before = canvas.previousElementSibling;
        const isThere = before !== null && before.classList.contains("axis");
        const axis = isThere ? before : element("canvas", "", "axis");
        if (!isThere) canvas.before(axis);
        axis.setAttribute("aria-hidden", "true");
        const ratio = canvas.width / parseFloat(canvas.style.width);
        const width = visibleWidth(canvas);
        axis.width = Math.round(width * ratio);
        axis.height = canvas.height;
        Object.assign(axis.style, {
            width: `${width}px`,
            height: canvas.style.height,
            marginBottom: `-${canvas.style.height}`,
        });
        const pen = axis.getContext("2d");
        pen.beginPath();
        pen.rect(0, 0, left * ratio, axis.height);
        pen.rect(0, 0, axis.width, (top - AXIS_MARGIN) * ratio);
        pen.clip();
        pen.fillStyle = Charts.theme().paper;
        pen.fillRect(0, 0, axis.width, axis.height);
        pen.drawImage(canvas, 0, 0);
    }

    /** Return the charts of an element, without the copies of their axes. */
    const chartsOf = (root) => Array.from(root.querySelectorAll("canvas:not(.axis)"));

    /**
     * Return the pictures of the runs of a panel, for saving.
     *
     * @param context The context.
     * @param root The element of the panel.
     * @param extrasOf Returns further canvases of (run, its element), which come before its charts.
     */
    function picturesOf(context, root, extrasOf = () => []) {
        return context.runs.flatMap((run, index) => {
            const own = root.querySelectorAll(".run")[index];
            const label = context.runs.length > 1 ? [textCanvas(run.model.run.label, "bold")] : [];
            return [...label, ...extrasOf(run, own), ...chartsOf(own)];
        });
    }

    /** Return the width of the visible part of a scrolled chart. */
    const visibleWidth = (canvas) => canvas.parentElement.clientWidth || 300;

    /** Return the letter of each input; empty texts for real inputs. */
    const inputLetters = ({ input, task }) =>
        input.values.map((symbol) => (task.real_inputs ? "" : task.input_symbols[symbol]));
    const outputLetter = (context, symbol) =>
        symbol === Inputs.NOT_SCORED ? " " : symbol < 0 ? "–" : context.task.output_symbols[symbol];
    const answersOf = (context, index) => context.runs[index].result.outputs.map(argmax);

    const quoted = (symbol) => `“${symbol}”`;

    const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

    /** Return the value that 98 % of the numbers do not exceed in size, so that one large unit does not hide the others. */
    function robustLimit(values) {
        const sizes = Float64Array.from(values, Math.abs).filter(Number.isFinite).sort();
        return sizes[Math.floor(0.98 * (sizes.length - 1))] || largest(sizes) || 1;
    }

    const percent = (share) => `${Math.round(100 * share)} %`;

    return {
        list,
        element,
        find,
        shown,
        probabilities,
        argmax,
        targetOf,
        lossAt,
        lossName,
        featureLabel,
        outputLabel,
        withChildren,
        setText,
        fillLetters,
        lettersCanvas,
        textCanvas,
        visibleWidth,
        drawSteps,
        keepAxis,
        chartsOf,
        picturesOf,
        inputLetters,
        outputLetter,
        answersOf,
        quoted,
        largest,
        robustLimit,
        percent,
    };
})();
