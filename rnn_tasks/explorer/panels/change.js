"use strict";
/** The panel of changes: accuracy, eigenvalues and the recurrent matrix. */
Panels.change = (() => {
    const { list, find, shown, quoted, largest, robustLimit, textCanvas, picturesOf } = Shared;
    const MOST_GROUPS = 4;

    const accuracyOf = (score) => score.right / score.answers;
    const fixed = (accuracy) => accuracy.toFixed(3);

    /** Return the text of an accuracy and a loss; null is not known. */
    function scoreParts({ real_targets: isReal }, { accuracy, loss }) {
        const parts = [];
        if (accuracy !== null && !isReal) parts.push(`accuracy ${fixed(accuracy)}`);
        if (loss !== null) parts.push(isReal ? `mean squared error ${shown(loss)}` : `loss ${shown(loss)} nats per step`);
        return parts.join(", ");
    }

    /** Return the sentence on the baseline and the plateaus; empty without them. */
    function referenceText({ task }) {
        const texts = [task.baseline, ...task.plateaus]
            .filter((reference) => reference && scoreParts(task, reference))
            .map((reference) => `${scoreParts(task, reference)} (${reference.name})`);
        return texts.length ? `For comparison: ${texts.join("; ")}.` : "";
    }

    /** Return the sentence on the accuracy of a run, with and without its changes. */
    function scoreText(context, run) {
        if (!run.model.live) return "This network is shown by recorded traces, and cannot be changed here.";
        if (!context.sequences) return "The page has no stored sequences, so it cannot measure accuracy.";
        const { unchanged, changed } = run.score;
        const text = (score) =>
            scoreParts(context.task, { accuracy: accuracyOf(score), loss: score.loss / score.scored });
        const start = `Unchanged, on ${context.sequences.count} stored sequences: ${unchanged ? text(unchanged) : "…"}.`;
        if (!Inputs.countEdits(run.view.edits)) return start;
        if (!changed) return `${start} With the changes: …`;
        return `${start} With the changes: ${text(changed)}. ${unchanged ? lossesByGroup(context, run.score) : ""}`;
    }

    /** Return the changes of a run and the accuracy that they cost, in one line; empty without changes. */
    function changesText(run) {
        const edits = Models.describeEdits(run.model, run.view.edits).map(({ label }) => label);
        if (!edits.length) return "";
        const { unchanged, changed } = run.score;
        const isReal = run.model.run.network.real_targets;
        const textOf = (score) => (isReal ? shown(score.loss / score.scored) : fixed(accuracyOf(score)));
        const values = [unchanged, changed].map((score) => (score ? textOf(score) : "…")).join(" → ");
        const quantity = isReal ? "Mean squared error" : "Accuracy";
        return `Changed${run.letter && ` (${run.letter})`}: ${edits.join(", ")}. ${quantity} ${values}`;
    }

    /** Return which symbols, and which delays, lose most accuracy by the changes. */
    function lossesByGroup(context, { unchanged, changed }) {
        const { sequences, task } = context;
        if (task.real_targets) return "";
        const worst = (groupOf, nameOf, isSymbol) => {
            const [before, after] = [unchanged, changed].map((score) =>
                Models.accuracyBy(sequences, score.wrong, groupOf),
            );
            return Array.from(before, ([group, accuracy]) => ({ group, accuracy, now: after.get(group) }))
                .filter(({ accuracy, now }) => accuracy - now > 0.005)
                .sort((a, b) => b.accuracy - b.now - (a.accuracy - a.now))
                .slice(0, MOST_GROUPS)
                .map(({ group, accuracy, now }) => {
                    const instead = isSymbol ? `, instead mostly ${mostFrequentAnswer(context, changed, group)}` : "";
                    return `${nameOf(group)}: ${fixed(accuracy)} → ${fixed(now)}${instead}`;
                })
                .join("; ");
        };
        const targetOf = (sequence, step) => sequences.targets[sequence * sequences.time + step];
        const bySymbol = worst(targetOf, (symbol) => quoted(task.output_symbols[symbol]), true);
        const byDelay = sequences.conditions
            ? worst(
                  (sequence) => sequences.conditions[sequence],
                  (delay) => `delay ${delay}`,
                  false,
              )
            : "";
        return (bySymbol && `Right symbols that lose most: ${bySymbol}. `) + (byDelay && `Delays: ${byDelay}.`);
    }

    /** Return the most frequent wrong answer where a symbol is right, with its share of the wrong answers. */
    function mostFrequentAnswer(context, score, symbol) {
        const { sequences, task } = context;
        const counts = new Map();
        for (const [sequence, step, answer] of score.wrong) {
            if (sequences.targets[sequence * sequences.time + step] === symbol) {
                counts.set(answer, (counts.get(answer) || 0) + 1);
            }
        }
        const total = Array.from(counts.values()).reduce((sum, count) => sum + count, 0);
        const [answer, count] = Array.from(counts).sort((a, b) => b[1] - a[1])[0];
        const name = answer < 0 ? "not a number" : quoted(task.output_symbols[answer]);
        return `${name} (${Math.round((100 * count) / total)} %)`;
    }

    /** Return the eigenvalues of the chosen matrix, times its scale: [[real part, imaginary part], ...]. */
    function scaledEigenvalues(run) {
        const { block, edits, moment } = run.view;
        const factor = edits.scale[block] === undefined ? 1 : edits.scale[block];
        const values = run.model.eigenvalues(moment, block);
        return Array.from({ length: values.length / 2 }, (_, i) => [
            factor * values[2 * i],
            factor * values[2 * i + 1],
        ]);
    }

    const spectralRadius = (points) => largest(points.map(([re, im]) => Math.hypot(re, im)));

    function drawEigenvalues(run, root) {
        const points = scaledEigenvalues(run);
        const width = Math.min(root.clientWidth - 20, 380);
        const canvas = find(root, "eigenvalues");
        Charts.scatter(canvas, {
            width,
            height: width,
            points,
            circle: 1,
            equal: true,
            xLabel: "real part",
            yLabel: "imaginary part",
        });
        const text = `${Models.blockLabel(run.view.block)}: spectral radius ${shown(spectralRadius(points))}.`;
        canvas.setAttribute("aria-label", `Eigenvalues. ${text}`);
        find(root, "radius").textContent = text;
    }

    function drawMatrix(context, index, root) {
        const run = context.runs[index];
        const { block, edits, moment } = run.view;
        const network = run.model.network(moment);
        const size = network.hiddenSize;
        const matrix = network.matrix(block, edits);
        const limit = robustLimit(matrix);
        const canvas = find(root, "matrix");
        const cell = Math.max(1, Math.min(24, Math.floor(384 / size)));
        const unit = Math.min(run.view.unit, size - 1);
        const geometry = Charts.heatMap(canvas, {
            values: matrix,
            rows: size,
            columns: size,
            cellWidth: cell,
            cellHeight: cell,
            limit,
            selectedRow: unit,
            selectedColumn: unit,
            yLabel: "to unit",
            xLabel: "from unit",
            crossed: edits.connections[block] || [],
        });
        find(root, "matrix-caption").textContent =
            "Row: unit that receives; column: unit that sends; the chosen unit is marked. Click an entry to cut this " +
            `connection, or to restore it. Colour scale: ${shown(-limit)} (blue) to ${shown(limit)} (orange).`;
        canvas.setAttribute("aria-label", `The matrix ${block}, ${size} by ${size}`);
        const cellOf = (event) => Charts.cellAt(geometry, event.offsetX, event.offsetY);
        canvas.onclick = (event) => {
            const found = cellOf(event);
            if (found) context.actions.toggleConnection(index, found.row, found.column);
        };
        canvas.onmousemove = (event) => {
            const found = cellOf(event);
            const value = found && matrix[found.row * size + found.column];
            canvas.title = found ? `to unit ${found.row} from unit ${found.column}: ${shown(value)}` : "";
        };
    }

    const change = {
        title: "What happens if it is changed?",
        changesText,

        draw(context, index, root) {
            const run = context.runs[index];
            const { block, edits } = run.view;
            find(root, "score").textContent = scoreText(context, run);
            find(root, "references").textContent = referenceText(context);
            find(root, "scale-value").textContent = shown(edits.scale[block] === undefined ? 1 : edits.scale[block]);
            find(root, "noise-value").textContent = shown(edits.noise.level);
            if (!run.model.blocks.length) return;
            drawEigenvalues(run, root);
            const isSquare = run.model.matrices.includes(block);
            find(root, "matrix-field").hidden = !isSquare;
            if (isSquare) drawMatrix(context, index, root);
        },

        numbers(context, index) {
            const run = context.runs[index];
            const scores = Object.entries(run.score).map(([name, score]) => [
                name,
                score && { ...score, wrong: score.wrong.length },
            ]);
            const points = run.model.blocks.length ? scaledEigenvalues(run) : [];
            return {
                edits: run.view.edits,
                score: Object.fromEntries(scores),
                [`${context.task.real_targets ? "rise_of_error" : "loss_of_accuracy"}_by_cutting_each_unit`]:
                    run.ranking ? list(run.ranking.drops) : null,
                matrix: run.view.block,
                eigenvalues: points.map(list),
                spectral_radius: points.length ? spectralRadius(points) : null,
            };
        },

        canvases(context, root) {
            return picturesOf(context, root, (run, own) =>
                [scoreText(context, run), find(own, "radius").textContent]
                    .filter(Boolean)
                    .map((text) => textCanvas(text)),
            );
        },
    };

    return change;
})();
