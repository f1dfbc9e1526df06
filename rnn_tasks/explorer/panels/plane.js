"use strict";
/** The panel of the trajectory of the state in two principal components. */
Panels.plane = (() => {
    const { list, find, shown, inputLetters, percent, picturesOf } = Shared;

    function trajectory(run) {
        return { path: run.path, faint: run.collected.faint, components: run.collected.components };
    }

    /** Return the states of a run in the principal components. */
    function pathOf({ result, collected }) {
        return result.states.map((row) => Statistics.project(row, collected.components));
    }

    const plane = {
        title: "Where does its state move?",
        pathOf,

        draw(context, index, root) {
            const run = context.runs[index];
            const canvas = find(root, "plane");
            const { path, faint, components } = trajectory(run);
            const width = Math.min(root.clientWidth, 560);
            const hasLetters = !context.task.real_inputs;
            Charts.scatter(canvas, {
                width,
                height: Math.min(width, 420),
                points: path,
                faint,
                path: true,
                selected: context.step,
                labels: hasLetters && path.length <= 60 ? inputLetters(context) : [],
                xLabel: `component 1 (${percent(components.shares[0])} of the variance)`,
                yLabel: `component 2 (${percent(components.shares[1])})`,
            });
            const [x, y] = path[context.step];
            find(root, "sentence").textContent =
                `Step ${context.step}: ${shown(x)}, ${shown(y)}.${hasLetters ? " Letters are the inputs." : ""}`;
            canvas.setAttribute(
                "aria-label",
                `Path of the state over ${path.length} steps in two principal components`,
            );
        },

        numbers(context, index) {
            const { path, components } = trajectory(context.runs[index]);
            return { path: path.map(list), shares_of_variance: list(components.shares) };
        },

        canvases: (context, root) => picturesOf(context, root),
    };

    return plane;
})();
