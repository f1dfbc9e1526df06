"use strict";
/** The panel of changes: accuracy, eigenvalues and the recurrent matrix. */
Panels.change = (() => {
    const { list, find, shown, quoted, largest, robustLimit } = Shared;

    function scoreText(context, run) {
        if (!run.model.live)
            return `${run.model.run.reason} It is shown by recorded traces, and cannot be changed here.`;
        if (!context.sequences) return "The page has no stored sequences, so it cannot measure accuracy.";
        const { trained, edited } = run.score;
        const what = `on ${context.sequences.count} stored sequences`;
        const text = (score) =>
            `accuracy ${shown(score.right / score.answers)}, loss ${shown(score.loss / score.scored)} nats per step`;
        if (!trained) return `Accuracy ${what}:`;
        if (!Inputs.countEdits(run.view.edits)) return `Unchanged, ${what}: ${text(trained)}.`;
        const start = `Unchanged, ${what}: ${text(trained)}. With the changes: `;
        return edited ? `${start}${text(edited)}. ${lossesByGroup(context, trained, edited)}` : `${start}…`;
    }

    /** Return which symbols, and which delays, lose most accuracy by the changes. */
    function lossesByGroup(context, trained, edited) {
        const { sequences, task } = context;
        const worst = (groupOf, nameOf) => {
            const [before, after] = [trained, edited].map((score) =>
                Models.accuracyBy(sequences, score.wrong, groupOf),
            );
            const drops = Array.from(before, ([group, accuracy]) => ({
                group,
                accuracy,
                drop: accuracy - after.get(group),
            }));
            drops.sort((a, b) => b.drop - a.drop);
            const lost = drops.filter(({ drop }) => drop > 0.005).slice(0, 4);
            return lost
                .map(({ group, accuracy }) => `${nameOf(group)} ${shown(accuracy)} → ${shown(after.get(group))}`)
                .join(", ");
        };
        const bySymbol = worst(
            (sequence, step) => sequences.targets[sequence * sequences.time + step],
            (symbol) => quoted(task.output_symbols[symbol]),
        );
        const byDelay = sequences.conditions ? worst((sequence) => sequences.conditions[sequence], String) : "";
        return (
            (bySymbol && `Right symbols that lose most: ${bySymbol}. `) +
            (byDelay && `Delays that lose most: ${byDelay}.`)
        );
    }

    const change = {
        title: "What happens if it is changed?",

        draw(context, index, root) {
            const run = context.runs[index];
            find(root, "score").textContent = scoreText(context, run);
            const { block, edits } = run.view;
            const factor = edits.scale[block] === undefined ? 1 : edits.scale[block];
            find(root, "scale-value").textContent = shown(factor);
            find(root, "noise-value").textContent = shown(edits.noise.level);
            if (!run.model.blocks.length) return;
            const values = run.model.eigenvalues(run.view.moment, block);
            const points = Array.from({ length: values.length / 2 }, (_, i) => [
                factor * values[2 * i],
                factor * values[2 * i + 1],
            ]);
            const width = Math.min(root.clientWidth - 20, 380);
            const eigenvalues = find(root, "eigenvalues");
            Charts.scatter(eigenvalues, {
                width,
                height: width,
                points,
                circle: 1,
                equal: true,
                xLabel: "real part",
                yLabel: "imaginary part",
            });
            const radius = largest(points.map(([re, im]) => Math.hypot(re, im)));
            eigenvalues.setAttribute("aria-label", `Eigenvalues of ${block}, spectral radius ${shown(radius)}`);
            const caption = `${block}: spectral radius ${shown(radius)}.`;
            if (!run.model.live) {
                find(root, "matrix-caption").textContent = caption;
                return;
            }
            const size = run.model.network(run.view.moment).hiddenSize;
            const matrix = run.model.network(run.view.moment).matrix(block, edits);
            const limit = robustLimit(matrix);
            const canvas = find(root, "matrix");
            const cell = Math.max(1, Math.min(24, Math.floor(384 / size)));
            const crossed = edits.connections[block] || [];
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
                crossed,
            });
            find(root, "matrix-caption").textContent =
                `${caption} Row: unit that receives; column: unit that sends; the chosen unit is marked. Click an entry to cut this ` +
                `connection, or to restore it. Full colours: ${shown(-limit)} and ${shown(limit)}.`;
            canvas.setAttribute("aria-label", `The matrix ${block}, ${size} by ${size}`);
            canvas.onclick = (event) => {
                const found = Charts.cellAt(geometry, event.offsetX, event.offsetY);
                if (found) context.actions.toggleConnection(index, found.row, found.column);
            };
            canvas.onmousemove = (event) => {
                const found = Charts.cellAt(geometry, event.offsetX, event.offsetY);
                const value = found && matrix[found.row * size + found.column];
                canvas.title = found ? `to unit ${found.row} from unit ${found.column}: ${shown(value)}` : "";
            };
        },

        numbers(context, index) {
            const run = context.runs[index];
            const scores = Object.entries(run.score).map(([name, score]) => [
                name,
                score && { ...score, wrong: score.wrong.length },
            ]);
            return {
                edits: run.view.edits,
                score: Object.fromEntries(scores),
                ranking: run.ranking ? list(run.ranking.drops) : null,
            };
        },

        canvases: (context, root) => [...root.querySelectorAll("canvas")],
    };

    return change;
})();
