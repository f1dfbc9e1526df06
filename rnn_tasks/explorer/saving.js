"use strict";
/** Panels as files: pictures and numbers. */
const Saving = (() => {
    /** Let the browser save a file. */
    function save(name, blob) {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(blob);
        link.download = name;
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }

    /** Save a panel as a picture, with the changes of the networks below its title. */
    function picture(context, panel) {
        const canvases = Panels[panel].canvases(context, document.getElementById(panel)).filter((canvas) => {
            const isHidden = canvas.isConnected && !canvas.getClientRects().length;
            return !isHidden && canvas.width > 0 && canvas.height > 0;
        });
        const moments = context.runs.map((run) => `${run.model.run.label} (${momentOf(run)})`);
        const changes = context.runs.map(Panels.change.changesText).filter(Boolean).join(" ");
        const subtitle = `${context.task.name}, step ${context.step}: ${moments.join(" and ")}. ${changes}`;
        Charts.png(Panels[panel].title, canvases, subtitle).toBlob((blob) => save(`${panel}.png`, blob));
    }

    const momentOf = (run) => run.model.moments[run.view.moment].label;

    /** Save the numbers of a panel as JSON. */
    function numbers(context, panel) {
        const { input, task } = context;
        const targetValue = (target) => {
            if (target === Inputs.NOT_SCORED) return null;
            return task.real_targets ? target : task.output_symbols[target];
        };
        const values = {
            panel,
            task: task.name,
            input: task.real_inputs ? input.values : input.values.map((symbol) => task.input_symbols[symbol]),
            targets: input.targets.map(targetValue),
            condition: input.condition,
            step: context.step,
            link: location.hash,
            runs: context.runs.map((run, index) => ({
                name: run.model.run.name,
                weights: momentOf(run),
                ...Panels[panel].numbers(context, index),
            })),
        };
        save(`${panel}.json`, new Blob([JSON.stringify(values, null, 1)], { type: "application/json" }));
    }

    return { picture, numbers };
})();
