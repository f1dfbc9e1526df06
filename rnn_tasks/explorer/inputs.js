"use strict";
/**
 * What the page shows, as plain values: the inputs and targets of a typed text or of a stored sequence, and the state of
 * the page as the fragment of its URL.
 */
const Inputs = (() => {
    const NOT_SCORED = -100;
    const MAX_STEPS = 1200;
    const MAX_EDITS = 2000;

    /**
     * Return the symbols of a typed text with their targets.
     *
     * @param strings `task.strings` of the data.
     * @param text The text.
     * @param delay The delay; ignored by tasks without delays.
     * @returns {values: the symbols, targets (NOT_SCORED where unknown), memory (1 where the right answer is known), due
     *   (1 where an answer is due), condition, note}, or {error} with one sentence.
     */
    function encode(strings, text, delay) {
        const letters = Array.from(text);
        if (!letters.length) return { error: "Type at least one letter." };
        const symbols = [];
        let unknown = 0;
        let capitals = 0;
        for (const letter of letters) {
            const exact = strings.letters.indexOf(letter);
            const isText = strings.unknown !== null;
            const place = exact < 0 && isText ? strings.letters.indexOf(letter.toLowerCase()) : exact;
            capitals += Number(place !== exact);
            if (place < 0 && strings.unknown === null) {
                return { error: `“${letter}” is not a letter of this task. Letters: ${strings.letters.join("")}` };
            }
            unknown += Number(place < 0);
            symbols.push(place < 0 ? strings.unknown : strings.letter_symbols[place]);
        }
        const count = symbols.length;
        const answer = strings.answers === "next" ? symbols.slice(1) : symbols.slice();
        for (const [symbol, perDelay, perLetter, constant] of strings.cue) {
            const repeats = perDelay * delay + perLetter * count + constant;
            if (symbols.length + repeats > MAX_STEPS) return { error: `At most ${MAX_STEPS} steps can be typed.` };
            for (let i = 0; i < repeats; i += 1) symbols.push(symbol);
        }
        if (symbols.length > MAX_STEPS) return { error: `At most ${MAX_STEPS} steps can be typed.` };
        const start = strings.answers === "next" ? 0 : delay + strings.answer_per_letter * count;
        const targets = symbols.map((_, step) =>
            strings.answers && step >= start && step - start < answer.length ? answer[step - start] : NOT_SCORED,
        );
        const due = symbols.map((_, step) => Number(step >= start && isAnswered(strings, letters, step)));
        return {
            values: symbols,
            targets,
            memory: targets.map((target) => Number(target !== NOT_SCORED)),
            due,
            condition: strings.conditional ? delay : null,
            note: noteOn(strings, { count, unknown, capitals, missing: start - symbols.length, due }),
        };
    }

    /** Return whether an answer is due at a step after the start of the answer; letters may restrict it. */
    function isAnswered(strings, letters, step) {
        if (!strings.answer_at.length || step >= letters.length) return true;
        return strings.answer_at.includes(letters[step]) && !strings.not_before.includes(letters[step + 1]);
    }

    function noteOn(strings, { count, unknown, capitals, missing, due }) {
        const expected = strings.num_letters;
        if (unknown) return `${unknown} characters are unknown to the network: it reads them as □.`;
        if (capitals) return "The network knows no capital letters: it reads them as small ones.";
        if (strings.answers !== "next" && missing >= 0) {
            return `The input ends before the first answer is due: type at least ${missing + 1} more.`;
        }
        if (!due.includes(1)) return `No answer is due: answers are due at ${strings.answer_at.join(" ")}.`;
        return expected && expected !== count
            ? `Trained on strings of ${expected} letters; this one has ${count}.`
            : "";
    }

    /**
     * Return a stored sequence up to its last scored step, in the form of `encode`. What follows is padding. A real input
     * or target is a list of numbers.
     *
     * @param sequences The decoded sequences, see `Models.openSequences`.
     * @param index The number of the sequence.
     * @param changes [[step, feature, value], ...]: other values of real inputs.
     */
    function stored(sequences, index, changes = []) {
        const { time, features, outputs } = sequences;
        const length = lengthOf(sequences, index);
        const rows = (numbers, size) =>
            Array.from({ length }, (_, step) => {
                const i = index * time + step;
                return size === null ? numbers[i] : Array.from(numbers.subarray(i * size, (i + 1) * size));
            });
        const values = rows(sequences.inputs, features);
        for (const [step, feature, value] of changes) if (step < length) values[step][feature] = value;
        const targets = rows(sequences.targets, outputs).map((target) => (isScored(target) ? target : NOT_SCORED));
        return {
            values,
            targets,
            memory: rows(sequences.memory, null),
            due: targets.map((target) => Number(target !== NOT_SCORED)),
            condition: sequences.conditions ? sequences.conditions[index] : null,
            note: changes.length ? "The input is changed; the targets are still those of the stored sequence." : "",
        };
    }

    /** Return whether a target is scored. */
    const isScored = (target) => !(Array.isArray(target) ? Number.isNaN(target[0]) : target === NOT_SCORED);

    /** Return the number of steps of a stored sequence up to its last scored step; all steps if none is scored. */
    function lengthOf({ time, targets, outputs }, index) {
        for (let step = time - 1; step >= 0; step -= 1) {
            const i = index * time + step;
            if (isScored(outputs === null ? targets[i] : [targets[i * outputs]])) return step + 1;
        }
        return time;
    }

    /** Return edits that change nothing. */
    function noEdits() {
        return { units: {}, gates: {}, connections: {}, scale: {}, noise: { level: 0, seed: 1 }, reset: [] };
    }

    /** Return edits without empty lists and factors of 1, which change nothing. */
    function withoutRemains(edits) {
        const kept = (values, keeps) => Object.fromEntries(Object.entries(values).filter(([, value]) => keeps(value)));
        return {
            ...edits,
            connections: kept(edits.connections, (pairs) => pairs.length > 0),
            scale: kept(edits.scale, (factor) => factor !== 1),
        };
    }

    /** Return the number of changes that edits make. */
    function countEdits(edits) {
        const cuts = Object.values(edits.connections).reduce((sum, pairs) => sum + pairs.length, 0);
        const named = [edits.units, edits.gates, edits.scale].reduce(
            (sum, values) => sum + Object.keys(values).length,
            0,
        );
        return named + cuts + Number(edits.noise.level > 0) + edits.reset.length;
    }

    /**
     * Return the state of the page as the fragment of a URL, without what equals the defaults.
     *
     * @param view {text, delay, sequence, changes, step, runs: [{...}]}, plain values only.
     * @param defaults A view of the same form.
     */
    function toFragment(view, defaults) {
        const values = new URLSearchParams();
        const put = (name, value, standard) => {
            if (JSON.stringify(value) !== JSON.stringify(standard)) values.set(name, JSON.stringify(value));
        };
        for (const name of ["text", "delay", "sequence", "changes", "step"]) put(name, view[name], defaults[name]);
        view.runs.forEach((run, index) => {
            for (const name of Object.keys(run)) put(`${index}.${name}`, run[name], defaults.runs[index][name]);
        });
        return values.toString();
    }

    /**
     * Return the view of a fragment. A value that has another type than its default, or is out of bounds, is ignored: a
     * fragment may come from a stranger.
     *
     * @param fragment The fragment, without the leading #.
     * @param defaults The view of a page without fragment.
     * @param limits {canType, steps, sequences, features, delay: [low, high], runs: [{moments, parts, units, orders, blocks, matrices,
     *   gates, hidden, stateSize}]}.
     */
    function fromFragment(fragment, defaults, limits) {
        const values = new URLSearchParams(fragment);
        const read = (name) => {
            try {
                return values.has(name) ? JSON.parse(values.get(name)) : undefined;
            } catch {
                return undefined;
            }
        };
        const whole = (value, low, high) => Number.isInteger(value) && value >= low && value <= high;
        const pick = (value, valid, standard) => (value !== undefined && valid(value) ? value : standard);
        const text = (value) => typeof value === "string" && value.length <= MAX_STEPS;
        const change = (value) =>
            Array.isArray(value) &&
            value.length === 3 &&
            whole(value[0], 0, limits.steps - 1) &&
            whole(value[1], 0, limits.features - 1) &&
            Number.isFinite(value[2]);
        return {
            text: pick(read("text"), text, defaults.text),
            delay: pick(read("delay"), (value) => whole(value, ...limits.delay), defaults.delay),
            sequence: pick(
                read("sequence"),
                (value) => (value === null ? limits.canType : whole(value, 0, limits.sequences - 1)),
                defaults.sequence,
            ),
            changes: pick(
                read("changes"),
                (value) => Array.isArray(value) && value.length <= MAX_EDITS && value.every(change),
                defaults.changes,
            ),
            step: pick(read("step"), (value) => whole(value, 0, limits.steps), defaults.step),
            runs: defaults.runs.map((standard, index) => {
                const limit = limits.runs[index];
                const of = (name, valid) => pick(read(`${index}.${name}`), valid, standard[name]);
                return {
                    moment: of("moment", (value) => whole(value, 0, limit.moments - 1)),
                    part: of("part", (value) => limit.parts.includes(value)),
                    unit: of("unit", (value) => whole(value, 0, limit.units - 1)),
                    order: of("order", (value) => limit.orders.includes(value)),
                    lag: of("lag", (value) => whole(value, 0, limits.steps)),
                    group: of("group", (value) => typeof value === "string" && value.length <= 100),
                    block: of("block", (value) => limit.blocks.includes(value)),
                    edits: of("edits", (value) => validEdits(value, limit)),
                };
            }),
        };
    }

    function validEdits(edits, limit) {
        const number = (value) => typeof value === "number" && Number.isFinite(value);
        const entries = (value) =>
            value !== null &&
            typeof value === "object" &&
            !Array.isArray(value) &&
            Object.keys(value).length <= MAX_EDITS
                ? Object.entries(value)
                : [[null, null]];
        const index = (text, size) => /^(0|[1-9]\d{0,5})$/.test(text) && Number(text) < size;
        const gate = (name) => {
            const found = limit.gates.find((known) => name === known || name.startsWith(`${known}/`));
            return found && (name === found || index(name.slice(found.length + 1), limit.hidden));
        };
        const pair = (value) =>
            Array.isArray(value) &&
            value.length === 2 &&
            value.every((i) => Number.isInteger(i) && i >= 0 && i < limit.hidden);
        return (
            edits !== null &&
            typeof edits === "object" &&
            Object.keys(edits).sort().join() === Object.keys(noEdits()).sort().join() &&
            entries(edits.units).every(([name, value]) => index(String(name), limit.stateSize) && number(value)) &&
            entries(edits.gates).every(([name, value]) => gate(String(name)) && number(value)) &&
            entries(edits.connections).every(
                ([name, pairs]) =>
                    limit.matrices.includes(name) &&
                    Array.isArray(pairs) &&
                    pairs.length <= MAX_EDITS &&
                    pairs.every(pair),
            ) &&
            entries(edits.scale).every(([name, value]) => limit.blocks.includes(name) && number(value)) &&
            entries(edits.noise).every(
                ([name, value]) => ["level", "seed"].includes(name) && number(value) && value >= 0,
            ) &&
            Object.keys(edits.noise).length === 2 &&
            Array.isArray(edits.reset) &&
            edits.reset.length <= MAX_EDITS &&
            edits.reset.every((step) => Number.isInteger(step) && step >= 0)
        );
    }

    return { NOT_SCORED, MAX_STEPS, encode, stored, lengthOf, noEdits, withoutRemains, countEdits, toFragment, fromFragment };
})();

if (typeof module !== "undefined") module.exports = Inputs;
