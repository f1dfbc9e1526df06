"use strict";
/** The panel of the state: units over time, and the traces of one unit. */
Panels.state = (() => {
    const { DASHED, list, find, shown, fillLetters, lettersCanvas, visibleWidth, inputLetters, largest, robustLimit } =
        Shared;

    /** Return the values of the shown part as rows of units (in the chosen order) by columns of steps. */
    function mapValues(run, order) {
        const rows = Models.rowsOf(run.part, run.result);
        const values = new Float64Array(order.length * rows.length);
        order.forEach((unit, row) =>
            rows.forEach((numbers, step) => (values[row * rows.length + step] = numbers[unit])),
        );
        return values;
    }

    const ORDERS = {
        index: "index",
        variance: "variance",
        symbol: "correlation with the symbol k steps ago",
        condition: "correlation with the delay",
        axis: "first principal axis",
        cut: "loss of accuracy if cut",
    };

    /** Return the traces of a unit in all parts of its layer: state, cell and gates. */
    function tracesOf(run, unit) {
        const related = run.model.parts.filter((part) => part.layer === run.part.layer && part.size === run.part.size);
        const ordered = [run.part, ...related.filter((part) => part !== run.part)];
        return ordered.map((part) => ({
            label: labelOf(part),
            values: Models.rowsOf(part, run.result).map((row) => row[unit]),
            dash: part.gate && part !== run.part ? DASHED : [],
        }));
    }

    const CANDIDATES = ["new", "cell"];

    /** Return the name of a part without its layer; the candidate values of a gated layer are not gates. */
    function labelOf(part) {
        const name = part.name.replace(/^layer ?\d+[ /]/, "");
        if (!part.gate) return name;
        return CANDIDATES.includes(name) ? "candidate" : `${name} gate`;
    }

    function drawMovers(context, run, root) {
        const states = run.collected.results.map((result) => Models.rowsOf(run.part, result));
        const { mean, count } = Statistics.meanChange(
            states,
            run.collected.symbols,
            run.part.size,
            context.task.input_symbols.length,
        );
        const movers = context.task.input_symbols
            .map((label, symbol) => ({ label, value: count[symbol] ? mean[symbol][run.view.unit] : 0 }))
            .sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
            .slice(0, 6)
            .map((item) => ({ ...item, text: shown(item.value) }));
        const canvas = find(root, "movers");
        Charts.bars(canvas, {
            width: Math.min(root.clientWidth, 480),
            items: movers,
            limit: largest(movers.map((m) => m.value)) || 1,
            signed: true,
        });
        canvas.setAttribute("aria-label", movers.map((item) => `${item.label}: ${item.text}`).join(", "));
    }

    const state = {
        ORDERS,
        title: "What does it hold in its state?",

        draw(context, index, root) {
            const run = context.runs[index];
            const { order, values: quantity } = run.order;
            const values = mapValues(run, order);
            const limit = robustLimit(values);
            const steps = context.input.symbols.length;
            const canvas = find(root, "map");
            const geometry = Charts.heatMap(canvas, {
                values,
                rows: order.length,
                columns: steps,
                cellWidth: context.cell,
                cellHeight: Math.max(1, Math.min(14, Math.floor(360 / order.length))),
                limit,
                left: context.head,
                width: visibleWidth(canvas),
                yLabel: `units of ${run.part.name}`,
                xLabel: "step",
                selectedRow: order.indexOf(run.view.unit),
                selectedColumn: context.step,
            });
            canvas.setAttribute("aria-label", `${run.part.name}: ${order.length} units over ${steps} steps`);
            canvas.onclick = (event) => {
                const found = Charts.cellAt(geometry, event.offsetX, event.offsetY);
                if (found) context.actions.choose(index, order[found.row], found.column);
            };
            canvas.onmousemove = (event) => {
                const found = Charts.cellAt(geometry, event.offsetX, event.offsetY);
                const value = found && values[found.row * steps + found.column];
                canvas.title = found ? `unit ${order[found.row]}, step ${found.column}: ${shown(value)}` : "";
            };
            const unit = run.view.unit;
            const trace = Models.rowsOf(run.part, run.result).map((row) => row[unit]);
            const named = quantity ? ` Its ${ORDERS[run.view.order]}: ${shown(quantity[unit])}.` : "";
            find(root, "sentence").textContent =
                `Unit ${unit} of ${run.part.name}: ${shown(trace[context.step])} at step ${context.step}. ` +
                `Full colours: ${shown(-limit)} and ${shown(limit)}.${named}`;
            const unitLimit = largest(trace) || 1;
            fillLetters(
                find(root, "coloured"),
                inputLetters(context),
                trace,
                unitLimit,
                context.step,
                trace.map((value, step) => `step ${step}: ${shown(value)}`),
                context.actions.setStep,
            );
            const traceCanvas = find(root, "trace");
            Charts.lines(traceCanvas, {
                width: visibleWidth(traceCanvas),
                height: 170,
                series: tracesOf(run, unit),
                horizontal: [{ value: 0 }],
                selected: context.step,
                columnWidth: context.cell,
                left: context.head,
                yLabel: `unit ${unit}`,
                xLabel: "step",
            });
            traceCanvas.setAttribute("aria-label", `The values of unit ${unit} over time`);
            drawMovers(context, run, root);
        },

        numbers(context, index) {
            const run = context.runs[index];
            return {
                part: run.part.name,
                order: run.view.order,
                units: Array.from(run.order.order),
                values: Models.rowsOf(run.part, run.result).map(list),
                unit: run.view.unit,
                traces: Object.fromEntries(tracesOf(run, run.view.unit).map((line) => [line.label, list(line.values)])),
            };
        },

        canvases(context, root) {
            const rows = context.runs.map((run) => {
                const { unit } = run.view;
                const values = Models.rowsOf(run.part, run.result).map((row) => row[unit]);
                const label = `${run.letter} unit ${unit}`.trim();
                return { label, letters: inputLetters(context), values, limit: largest(values) || 1 };
            });
            return [lettersCanvas(context, rows), ...root.querySelectorAll("canvas")];
        },
    };

    return state;
})();
