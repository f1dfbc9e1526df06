"use strict";
/** The header of the page. */
const Header = (() => {
    const { element } = Shared;
    const byId = (id) => document.getElementById(id);

    /**
     * Fill the header of the page: what the network has to do, facts about the runs, and notes.
     *
     * @param data The data of the page.
     */
    function fill(data) {
        const sentences = [taskSentence(data.task), `Network: ${data.runs.map((run) => run.label).join(" and ")}.`];
        for (const run of data.runs) if (!run.live) sentences.push(run.reason);
        byId("lead").textContent = sentences.filter(Boolean).join(" ");
        const rows = [["", ...data.runs.map((run) => run.label)]];
        data.runs[0].facts.forEach(([name], i) =>
            rows.push([name, ...data.runs.map((run) => (run.facts[i] || ["", ""])[1])]),
        );
        byId("facts").replaceChildren(
            ...rows.map(([name, ...cells]) => {
                const line = element("tr");
                line.append(element("th", name), ...cells.map((cell) => element("td", cell)));
                return line;
            }),
        );
        const notes = data.runs.map(
            (run) =>
                (data.runs.length > 1 ? `${run.label}: ` : "") +
                (run.reason || precision(run.precision)) +
                (run.moments.length ? " Snapshots of the training are stored in 16 bits." : ""),
        );
        if (data.sequences) notes.push(`Stored sequences: ${data.sequences.source}.`);
        notes.push(
            ...(data.missing || []),
            `Written by rnn_tasks ${data.version}. The page sends no request to any server.`,
        );
        byId("notes").replaceChildren(...notes.map((note) => element("li", note)));
    }

    /** Return what the network has to do, as far as the strings of the task say it. */
    function taskSentence(task) {
        const { strings, is_text: isText, input_symbols: symbols, blank } = task;
        if (isText)
            return `Task: predict the next character of a text.${symbols.includes("␣") ? " “␣” is a space." : ""}`;
        if (!strings) return sizeSentence(task);
        if (strings.answers !== "letters") return symbolSentence(task);
        const [low, high] = [strings.min_delay, strings.max_delay];
        const steps = low === high ? `${low} ${low === 1 ? "step" : "steps"}` : `${low} to ${high} steps`;
        const told = strings.conditional ? "; the network receives this delay" : "";
        const what = strings.answer_per_letter
            ? `read ${strings.num_letters || "some"} letters, wait ${steps}, then repeat them${told}`
            : `repeat each letter ${steps} later${told}`;
        const letters = strings.letters.length > 12 ? `${strings.letters.length} letters` : strings.letters.join("");
        const legend = blank === null ? "" : ` “${symbols[blank]}” is a blank.`;
        return `Task: ${what}. Letters: ${letters}.${legend}`;
    }

    /** Return what a step of a task without strings holds. */
    function sizeSentence(task) {
        const numbers = (size) => `${size} ${size === 1 ? "number" : "numbers"}`;
        const input = task.real_inputs ? numbers(task.input_size) : `one of ${task.input_size} symbols`;
        const output = task.real_targets ? numbers(task.output_size) : `one of ${task.output_size} symbols`;
        return `Task: ${task.options}. Input of a step: ${input}. Output: ${output}.`;
    }

    /** Return which symbols the network reads and answers. */
    function symbolSentence({ options, strings, input_symbols: inputs, output_symbols: outputs, blank }) {
        const letters = strings.letters.join("");
        const legend = blank === null ? "" : ` “${inputs[blank]}” is a blank.`;
        return `Task: ${options}. Letters: ${letters} (such as ${strings.example}). Answers: ${outputs.join("")}.${legend}`;
    }

    /** Return what storing the weights changed. */
    function precision(values) {
        if (values.bits === 32 && values.largest_change === 0) return "Weights are stored exactly, in 32 bits.";
        const start = `Weights are stored in ${values.bits} bits.`;
        if (values.largest_change === null) return start;
        const change = `by at most ${Shared.shown(values.largest_change)}.`;
        if (!values.answers) return `${start} On the stored sequences this changes the outputs ${change}`;
        return (
            `${start} On the stored sequences this changes ${values.changed} of ${values.answers} answers; ` +
            `probabilities change ${change}`
        );
    }

    return { fill };
})();
