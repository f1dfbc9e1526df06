"use strict";
/** The panel of the state: units over time, and the traces of one unit. */
Panels.state = (() => {
    const {
        list,
        find,
        shown,
        fillLetters,
        lettersCanvas,
        textCanvas,
        visibleWidth,
        drawSteps,
        keepAxis,
        inputLetters,
        featureLabel,
        largest,
        robustLimit,
        picturesOf,
    } = Shared;

    const MOST_HEIGHT = 720; // pixels of the map

    /** Return the values of the shown part as rows of units (in the chosen order) by columns of steps. */
    function mapValues(run, order) {
        const rows = Models.rowsOf(run.part, run.result);
        const values = new Float64Array(order.length * rows.length);
        order.forEach((unit, row) =>
            rows.forEach((numbers, step) => (values[row * rows.length + step] = numbers[unit])),
        );
        return values;
    }

    /** Return the names of the orders of units in the page, by their names in `Models.orderOf`. */
    function orderLabels(task) {
        return {
            index: "index",
            variance: "variance",
            symbol: `correlation with the ${task.real_inputs ? "input" : "symbol"} k steps ago`,
            condition: "correlation with the delay",
            axis: "weight in the first principal axis",
            cut: task.real_targets ? "rise of the squared error if cut" : "loss of accuracy if cut",
        };
    }

    /** Return the traces of a unit in all parts of its layer: state, cell and gates. */
    function tracesOf(run, unit) {
        const related = run.model.parts.filter((part) => part.group === run.part.group && part.size === run.part.size);
        const ordered = [run.part, ...related.filter((part) => part !== run.part)];
        return ordered.map((part) => ({
            label: Models.withoutGroup(part),
            values: Models.rowsOf(part, run.result).map((row) => row[unit]),
        }));
    }

    /** Return the correlation of the changes of the chosen unit with each feature of the input: [{label, value}]. */
    function correlatedFeatures({ task }, run) {
        const changes = run.collected.results.flatMap((result) => {
            const values = Models.rowsOf(run.part, result).map((row) => row[run.view.unit]);
            return values.map((value, step) => [step ? value - values[step - 1] : 0]);
        });
        return Array.from({ length: task.input_size }, (_, feature) => {
            const inputs = run.collected.values.flatMap((steps) =>
                steps.map((values, step) => (step ? values[feature] : NaN)),
            );
            return { label: featureLabel(task, feature), value: Statistics.correlation(changes, 1, inputs)[0] };
        });
    }

    /** Return the mean change of the chosen unit at the steps that read each symbol: [{label, value}]. */
    function movingSymbols(context, run) {
        const states = run.collected.results.map((result) =>
            Models.rowsOf(run.part, result).map((row) => [row[run.view.unit]]),
        );
        const { values } = run.collected;
        const { mean, count } = Statistics.meanChange(states, values, 1, context.task.input_symbols.length);
        return context.task.input_symbols.map((label, symbol) => ({
            label,
            value: count[symbol] ? mean[symbol][0] : 0,
        }));
    }

    function drawMovers(context, run, root) {
        const isReal = context.task.real_inputs;
        const quantity = isReal
            ? "correlation of the change of its value at a step with the input of this step"
            : "mean change of its value at the steps that read the symbol";
        find(root, "movers-caption").textContent =
            `Inputs that move this unit most: ${quantity}, over the stored sequences, in the unchanged network.`;
        const movers = (isReal ? correlatedFeatures : movingSymbols)(context, run)
            .sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
            .slice(0, 6)
            .map((item) => ({ ...item, text: shown(item.value) }));
        const canvas = find(root, "movers");
        Charts.bars(canvas, {
            width: Math.min(root.clientWidth, 480),
            items: movers,
            limit: isReal ? 1 : largest(movers.map((m) => m.value)) || 1,
            signed: true,
        });
        canvas.setAttribute("aria-label", movers.map((item) => `${item.label}: ${item.text}`).join(", "));
    }

    /** Return what `map` shows: values of the units in their order, and the limit of the colour scale. */
    function mapOf(run) {
        const values = mapValues(run, run.order.order);
        return { values, limit: robustLimit(values) };
    }

    /** Return the height of a row: whole pixels, or less than a pixel for many rows. */
    function heightOf(rows) {
        return rows > MOST_HEIGHT ? MOST_HEIGHT / rows : Math.max(1, Math.min(14, Math.floor(360 / rows)));
    }

    /** Draw a part that is a matrix at the chosen step. */
    function drawImage(context, index, root) {
        const run = context.runs[index];
        const { columns, size, label } = run.part;
        const canvas = find(root, "image");
        const values = Models.rowsOf(run.part, run.result)[context.step];
        const width = Math.min(384, visibleWidth(canvas) - 20);
        const cell = Math.max(1, Math.min(24, Math.floor(width / columns)));
        const geometry = Charts.heatMap(canvas, {
            values,
            rows: size / columns,
            columns,
            cellWidth: cell,
            cellHeight: cell,
            limit: run.map.limit,
            selectedRow: Math.floor(run.view.unit / columns),
            selectedColumn: run.view.unit % columns,
            yLabel: `${label} at step ${context.step}; rows: coordinates of keys`,
            xLabel: "columns: coordinates of values",
        });
        canvas.setAttribute("aria-label", `${label}: ${size / columns} by ${columns}, at step ${context.step}`);
        const cellOf = (event) => Charts.cellAt(geometry, event.offsetX, event.offsetY);
        const unitOf = ({ row, column }) => row * columns + column;
        canvas.onclick = (event) => {
            const found = cellOf(event);
            if (found) context.actions.choose(index, unitOf(found), context.step);
        };
        canvas.onmousemove = (event) => {
            const found = cellOf(event);
            const place = found && `row ${found.row}, column ${found.column} (unit ${unitOf(found)})`;
            canvas.title = found ? `${place}: ${shown(values[unitOf(found)])}` : "";
        };
    }

    /** Show what a matrix returns for the key of each step; real inputs have no letters. */
    function drawReturned(context, run, root) {
        const lengths = returnedBy(context, run);
        fillLetters(
            find(root, "returned"),
            inputLetters(context),
            lengths,
            largest(lengths) || 1,
            context.step,
            lengths.map((length, step) => `step ${step}: ${shown(length)}`),
            context.actions.setStep,
        );
    }

    const returnedBy = (context, run) => Models.returnedByKeys(run.model, run.part, run.result, context.step);

    function drawMap(context, index, root) {
        const run = context.runs[index];
        const { order } = run.order;
        const { values, limit } = run.map;
        const steps = context.input.values.length;
        const canvas = find(root, "map");
        const geometry = Charts.heatMap(canvas, {
            values,
            rows: order.length,
            columns: steps,
            cellWidth: context.cell,
            cellHeight: heightOf(order.length),
            limit,
            left: context.head,
            width: visibleWidth(canvas),
            yLabel: `${run.part.rows} (${run.part.label})`,
            xLabel: "step",
            rowLabels: Array.from(order, (unit) => run.part.rowNames[unit].replace(/^(unit|coordinate|input) /, "")),
            columnLabels: context.input.values.map((_, step) => String(step)),
            selectedRow: order.indexOf(run.view.unit),
            selectedColumn: context.step,
        });
        keepAxis(canvas, geometry);
        canvas.setAttribute("aria-label", `${run.part.label}: ${order.length} ${run.part.rows} over ${steps} steps`);
        const cellOf = (event) => Charts.cellAt(geometry, event.offsetX, event.offsetY);
        canvas.onclick = (event) => {
            const found = cellOf(event);
            if (found) context.actions.choose(index, order[found.row], found.column);
        };
        canvas.onmousemove = (event) => {
            const found = cellOf(event);
            const value = found && values[found.row * steps + found.column];
            canvas.title = found ? `${run.part.rowNames[order[found.row]]}, step ${found.column}: ${shown(value)}` : "";
        };
    }

    function drawTrace(context, run, trace, root) {
        const { unit } = run.view;
        fillLetters(
            find(root, "coloured"),
            inputLetters(context),
            trace,
            largest(trace) || 1,
            context.step,
            trace.map((value, step) => `step ${step}: ${shown(value)}`),
            context.actions.setStep,
        );
        drawSteps(context, find(root, "trace"), {
            height: 170,
            series: tracesOf(run, unit),
            horizontal: [{ value: 0 }],
            yLabel: run.part.rowNames[unit],
        });
        find(root, "trace").setAttribute("aria-label", `The values of ${run.part.rowNames[unit]} over time`);
    }

    /** Return the sentence on the chosen unit. */
    function unitText(context, run, trace) {
        const { unit, order } = run.view;
        const { values: quantity } = run.order;
        const named = quantity ? ` Its ${orderLabels(context.task)[order]}: ${shown(quantity[unit])}.` : "";
        const { limit } = run.map;
        const { columns } = run.part;
        const place = columns > 1 ? ` (row ${Math.floor(unit / columns)}, column ${unit % columns})` : "";
        return (
            `${Models.capitalised(run.part.rowNames[unit])}${place}, ${run.part.label}: ${shown(trace[context.step])} at step ${context.step}.${named} ` +
            `Colour scale: ${shown(-limit)} (blue) to ${shown(limit)} (orange).`
        );
    }

    const traceOf = (run) => Models.rowsOf(run.part, run.result).map((row) => row[run.view.unit]);

    const state = {
        orderLabels,
        title: "What does it hold in its state?",
        mapOf,

        draw(context, index, root) {
            const run = context.runs[index];
            const trace = traceOf(run);
            const isMatrix = run.part.columns > 1;
            find(root, "map-field").hidden = isMatrix;
            find(root, "image-field").hidden = !isMatrix;
            (isMatrix ? drawImage : drawMap)(context, index, root);
            const hasKeys = isMatrix && !context.task.real_inputs;
            find(root, "returned-field").hidden = !hasKeys;
            if (hasKeys) drawReturned(context, run, root);
            find(root, "sentence").textContent = unitText(context, run, trace);
            drawTrace(context, run, trace, root);
            drawMovers(context, run, root);
        },

        numbers(context, index) {
            const run = context.runs[index];
            return {
                part: run.part.name,
                returned_for_keys: run.part.columns > 1 ? list(returnedBy(context, run)) : null,
                order: run.view.order,
                units: Array.from(run.order.order),
                values: Models.rowsOf(run.part, run.result).map(list),
                unit: run.view.unit,
                traces: Object.fromEntries(tracesOf(run, run.view.unit).map((line) => [line.label, list(line.values)])),
            };
        },

        canvases(context, root) {
            return picturesOf(context, root, (run) => {
                const values = traceOf(run);
                const text = textCanvas(unitText(context, run, values));
                if (context.task.real_inputs) return [text];
                const limit = largest(values) || 1;
                const row = { label: run.part.rowNames[run.view.unit], letters: inputLetters(context), values, limit };
                return [text, lettersCanvas(context, [row])];
            });
        },
    };

    return state;
})();
