"use strict";
/** The runs of the page: live networks, and the recordings of layers that the page cannot run, behind one interface. */
const Models = (() => {
    const MAX_ROWS = 2000; // steps of stored sequences from which correlations are computed
    const MAX_NUMBERS = 4e6; // numbers of the states of these steps
    const MAX_PRODUCTS = 1.5e9; // multiplications for the measured effect of all earlier inputs
    const MAX_REPLACEMENTS = 8;
    const MAX_CANDIDATES = 400; // stored real inputs among which the replacements are

    /**
     * Decode the stored sequences.
     *
     * @returns {count, time, features, outputs, inputs, targets, memory, conditions}: flat arrays, and the number of real
     *   features and outputs of a step, null for symbols; null without sequences.
     */
    function openSequences(sequences) {
        if (!sequences) return null;
        const values = (array) => (array ? Engine.decode(array).data : null);
        const [count, time, features = null] = sequences.inputs.shape;
        return {
            count,
            time,
            features,
            outputs: sequences.targets.shape[2] ?? null,
            inputs: values(sequences.inputs),
            targets: values(sequences.targets),
            memory: values(sequences.memory),
            conditions: values(sequences.conditions),
        };
    }

    /**
     * Return the model of a run.
     *
     * @param run The run.
     * @param task The task.
     * @returns {run, live, parts, moments, blocks, gates, hidden, network(moment), eigenvalues(moment), recording(index)}.
     *   parts: [{name, label, group, start, size, step, columns, rows, rowNames, gate}]: the parts of the state (see
     *   StatePart in live.py), then the gates. Parts with the same group and size belong to the same units. rows: what the
     *   numbers belong to, such as units; rowNames: the name of each.
     *   moments: [{label, weights, eigenvalues}]: the snapshots, then the trained network.
     */
    function open(run, task) {
        const description = { ...run.network, num_inputs: task.input_size };
        const label = run.steps === null ? "trained" : `trained, step ${run.steps}`;
        const trained = { label, weights: run.weights, eigenvalues: run.eigenvalues };
        const moments = run.moments.map((moment) => ({ ...moment, label: `step ${moment.step}` })).concat([trained]);
        const networks = new Map();
        const network = (moment) => {
            if (!networks.has(moment)) {
                networks.set(moment, Engine.network(description, Engine.decodeAll(moments[moment].weights)));
            }
            return networks.get(moment);
        };
        const parts = run.state_parts.map((part) => {
            const rowNames = rowNamesOf(part, task);
            const group = part.rows === "inputs" ? part.name : groupOf(part.name);
            return { ...part, label: part.name, group, rowNames, gate: false };
        });
        const stateSize = parts.reduce((sum, { size }) => sum + size, 0);
        const gateSizes = run.live
            ? network(moments.length - 1).gateSizes
            : Object.fromEntries(Object.entries(run.recordings.gates).map(([name, { shape }]) => [name, shape[2]]));
        const gates = Object.keys(gateSizes);
        for (const [name, size] of Object.entries(gateSizes)) {
            const label = gateLabel(name);
            const rows = rowsOfGate(name.replace(/^.*\//, ""));
            const rowNames = rowNamesOf({ rows, size }, task);
            parts.push({ name, label, group: groupOf(label), start: 0, size, step: 1, columns: 1, rows, rowNames, gate: true });
        }
        const blocks = Object.keys(run.eigenvalues);
        const recordings = run.live ? null : openRecordings(run.recordings);
        return {
            run,
            live: run.live,
            parts,
            stateSize,
            moments,
            gates,
            blocks,
            matrices: run.live ? network(moments.length - 1).squareBlocks : [],
            groups: new Set(parts.map((part) => part.group)).size,
            hidden: Math.max(...parts.map((part) => part.size)),
            network,
            eigenvalues: (moment, block) => Engine.decode(moments[moment].eigenvalues[block]).data,
            recording: (index) => recordings[index],
            recordings: recordings ? recordings.length : 0,
        };
    }

    const CANDIDATES = ["new", "cell"];
    const FACTORS = /^(beta\d*|decay)$/; // of DeltaNet
    const KEYS = /^key\d*$/;

    /** Return what the numbers of a gate belong to. */
    function rowsOfGate(gate) {
        if (KEYS.test(gate)) return "coordinates";
        return FACTORS.test(gate) ? "heads" : "units";
    }

    /** Return the names of the rows of a part: `unit 0`, `head 1` (heads are counted from 1), `input a`. */
    function rowNamesOf({ rows, size }, task) {
        const isSymbol = rows === "inputs" && !task.real_inputs && size === task.input_symbols.length;
        if (isSymbol) return task.input_symbols.map((symbol) => `input ${symbol}`);
        const name = { heads: "head", inputs: "input", coordinates: "coordinate" }[rows] || "unit";
        return Array.from({ length: size }, (_, i) => `${name} ${rows === "heads" ? i + 1 : i}`);
    }

    /** Return the first two words of a label such as `layer 1 hidden`: what its units belong to. */
    function groupOf(label) {
        return (/^\w+ \d+(?= )/.exec(label) || ["layer 1"])[0];
    }

    /** Return a label such as `layer 1 hidden` without its group. */
    function withoutGroup({ label, group }) {
        return label.startsWith(`${group} `) ? label.slice(group.length + 1) : label;
    }

    /** Return the label of a gate such as `layer0/update`; candidate values are no gates. */
    function gateLabel(name) {
        const [, layer, gate] = /^layer(\d+)\/(.*)$/.exec(name) || [null, "0", name];
        const kind = CANDIDATES.includes(gate) ? "candidate" : rowsOfGate(gate) === "units" ? `${gate} gate` : gate;
        return `layer ${Number(layer) + 1} ${kind}`;
    }

    const capitalised = (text) => text[0].toUpperCase() + text.slice(1);

    const MEANINGS = {
        update: "Update gate: 1 keeps the old state.",
        forget: "Forget gate: 1 keeps the old state.",
        reset: "Reset gate: 0 hides the old state.",
        input: "Input gate: 1 lets the candidate in.",
        output: "Output gate: 1 shows the cell.",
        beta: "Beta: 1 replaces what the matrix returns for the key; the step has the eigenvalue 1 − beta.",
        decay: "Decay: 1 keeps the matrix.",
    };

    /** Return what some gates are called together. */
    function titleOf(gates) {
        const kinds = ["key", "beta", "decay"].filter((kind) => gates.some((name) => name.includes(`/${kind}`)));
        return kinds.length ? capitalised(kinds.join(", ")) : "Gates and candidates";
    }

    /** Return what the values of some gates mean. */
    function meaningOf(gates) {
        const kinds = new Set(gates.map((name) => name.replace(/^.*\//, "").replace(/\d+$/, "")));
        return Object.keys(MEANINGS)
            .filter((kind) => kinds.has(kind))
            .map((kind) => MEANINGS[kind])
            .join(" ");
    }

    /** Return the label of a recurrent matrix such as `weight_hh_l0/update`. */
    function blockLabel(block) {
        const [, layer, gate] = /^weight_hh_l(\d+)(?:\/(.*))?$/.exec(block) || [null, null, null];
        if (block === "diagonal") return "layer 1 diagonal";
        if (layer === null) return block;
        const of = gate ? gateLabel(`layer${layer}/${gate}`) : `layer ${Number(layer) + 1}`;
        return `${of} (${block})`;
    }

    function openRecordings(recordings) {
        const steps = (array, sequence) => {
            const [, time, size] = array.shape;
            const start = sequence * time * size;
            return Array.from({ length: time }, (_, t) =>
                array.data.subarray(start + t * size, start + (t + 1) * size),
            );
        };
        const states = Engine.decode(recordings.states);
        const outputs = Engine.decode(recordings.outputs);
        const gates = Engine.decodeAll(recordings.gates);
        return Array.from({ length: states.shape[0] }, (_, sequence) => ({
            states: steps(states, sequence),
            outputs: steps(outputs, sequence),
            gates: Object.fromEntries(Object.entries(gates).map(([name, array]) => [name, steps(array, sequence)])),
        }));
    }

    /**
     * Run a model on an input.
     *
     * @param model The model.
     * @param input The input of `Inputs.encode` or `Inputs.stored`.
     * @param sequence The number of the stored sequence, for recordings.
     * @param options {moment, edits}.
     * @returns {outputs, states, gates}: a row of numbers for each step; gates by name.
     */
    function compute(model, input, sequence, { moment, edits }) {
        if (!model.live) return cut(model.recording(sequence), input.values.length);
        return model.network(moment).run(one(input), { edits, record: true });
    }

    /** Return the first steps of a result. */
    function cut({ outputs, states, gates }, length) {
        const first = (steps) => steps.slice(0, length);
        const cutGates = Object.fromEntries(Object.entries(gates).map(([name, steps]) => [name, first(steps)]));
        return { outputs: first(outputs), states: first(states), gates: cutGates };
    }

    /** Return an input as a batch of one sequence. */
    function one(input) {
        return { inputs: [input.values], conditions: input.condition === null ? null : [input.condition] };
    }

    /** Return the rows of a part, one per step: views of the numbers of a result. */
    function rowsOf(part, result) {
        if (part.gate) return result.gates[part.name];
        const { start, size, step } = part;
        if (step === 1) return result.states.map((state) => state.subarray(start, start + size));
        return result.states.map((state) => Float64Array.from({ length: size }, (_, i) => state[start + i * step]));
    }

    /**
     * Return what the matrix of a part returns at a step for the key of each step so far: the length of S^T k, the
     * largest one if a step writes under several keys; 0 for later steps.
     */
    function returnedByKeys(model, part, result, step) {
        const { start, size, columns } = part;
        const matrix = rowsOf(part, result)[step];
        const first = (start / size) * columns; // number of the head's first coordinate
        const names = model.gates.filter((name) => KEYS.test(name.replace(/^.*\//, "")));
        return result.states.map((_, t) => {
            if (t > step) return 0;
            const keys = names.map((name) => result.gates[name][t].subarray(first, first + columns));
            return Math.max(...keys.map((key) => lengthOfProduct(matrix, key)));
        });
    }

    /** Return the length of S^T k for a square matrix S. */
    function lengthOfProduct(matrix, key) {
        const product = new Float64Array(key.length);
        matrix.forEach((number, i) => (product[i % key.length] += number * key[Math.floor(i / key.length)]));
        return Math.hypot(...product);
    }

    /** Return the part with a name. */
    function partOf(model, name) {
        return model.parts.find((part) => part.name === name) || model.parts[0];
    }

    /**
     * Return the numbers of the flat state that belong to a unit, such as its hidden state and its cell.
     *
     * @param part The part in which the unit was chosen.
     * @param unit The index of the unit in the part.
     */
    function numbersOfUnit(model, part, unit) {
        return model.parts
            .filter((other) => !other.gate && other.group === part.group && other.size === part.size)
            .map((other) => other.start + unit * other.step);
    }

    /**
     * Describe edits, one by one.
     *
     * @param model The model.
     * @param edits The edits.
     * @returns [{label, undo: removes this edit from a copy of the edits}]. A unit whose numbers are all held at 0 is cut.
     */
    function describeEdits(model, edits) {
        const described = [];
        const add = (label, undo) => described.push({ label, undo });
        const value = Charts.formatNumber;
        const held = new Set(Object.keys(edits.units).map(Number));
        for (const part of model.parts.filter((other) => !other.gate)) {
            for (let unit = 0; unit < part.size; unit += 1) {
                const own = part.start + unit * part.step;
                if (!held.has(own)) continue;
                const numbers = numbersOfUnit(model, part, unit);
                const isCut = numbers.every((number) => held.has(number) && edits.units[number] === 0);
                const undone = isCut ? numbers : [own];
                const inPart = `${part.label}, ${part.rowNames[unit]}`;
                const inGroup = model.groups > 1 ? `${part.group} unit ${unit}` : `unit ${unit}`;
                const name = part.rows === "units" ? inGroup : inPart;
                const number = numbers.length > 1 ? inPart : name;
                add(isCut ? `${name} cut` : `${number} held at ${value(edits.units[own])}`, (changed) =>
                    undone.forEach((each) => delete changed.units[each]),
                );
                undone.forEach((each) => held.delete(each));
            }
        }
        for (const [name, level] of Object.entries(edits.gates)) {
            const [, gate, , unit] = /^(layer\d+\/[^/]+)(\/(\d+))?$/.exec(name);
            const of = unit === undefined ? gateLabel(gate) : `${gateLabel(gate)}, ${partOf(model, gate).rowNames[unit]}`;
            add(`${of} held at ${value(level)}`, (changed) => delete changed.gates[name]);
        }
        for (const [block, pairs] of Object.entries(edits.connections)) {
            for (const [i, j] of pairs) {
                add(`${blockLabel(block)}: unit ${j} to unit ${i} cut`, (changed) => {
                    changed.connections[block] = changed.connections[block].filter(([a, b]) => a !== i || b !== j);
                });
            }
        }
        for (const [block, factor] of Object.entries(edits.scale)) {
            add(`${blockLabel(block)} times ${value(factor)}`, (changed) => delete changed.scale[block]);
        }
        if (edits.noise.level > 0) add(`noise ${value(edits.noise.level)}`, (changed) => (changed.noise.level = 0));
        for (const step of edits.reset) {
            add(`state reset before step ${step}`, (changed) => {
                changed.reset = changed.reset.filter((other) => other !== step);
            });
        }
        return described;
    }

    /**
     * Return what a model does on the stored sequences, or on the shown input if there are none; without edits.
     *
     * @returns {results, values, conditions}: for each sequence the result of `compute`, its inputs and its condition
     *   (null without conditions).
     */
    function collect(model, moment, sequences, shown) {
        if (!sequences) {
            const result = compute(model, shown, null, { moment, edits: Inputs.noEdits() });
            return { results: [result], values: [shown.values], conditions: [shown.condition] };
        }
        const affordable = Math.max(1, Math.floor(MAX_NUMBERS / (sequences.time * model.stateSize)));
        const most = Math.min(affordable, Math.max(5, Math.floor(MAX_ROWS / sequences.time)));
        const count = Math.min(most, model.live ? sequences.count : model.recordings);
        const inputs = Array.from({ length: count }, (_, index) => Inputs.stored(sequences, index));
        const values = inputs.map((input) => input.values);
        const conditions = inputs.map((input) => input.condition);
        if (!model.live) {
            const results = values.map((steps, index) => cut(model.recording(index), steps.length));
            return { results, values, conditions };
        }
        const longest = Math.max(...values.map((steps) => steps.length));
        const padded = values.map((steps) => [...steps, ...Array(longest - steps.length).fill(steps[0])]);
        const options = { inputs: padded, conditions: sequences.conditions ? conditions : null };
        const batch = model.network(moment).run(options, { record: true });
        const split = (steps, index) =>
            steps.map((step) => step.subarray((index * step.length) / count, ((index + 1) * step.length) / count));
        const results = values.map((steps, index) => {
            const gates = Object.entries(batch.gates).map(([name, rows]) => [name, split(rows, index)]);
            const { outputs, states } = batch;
            const whole = { outputs: split(outputs, index), states: split(states, index), gates: Object.fromEntries(gates) };
            return cut(whole, steps.length);
        });
        return { results, values, conditions };
    }

    /**
     * Return the order in which the units of a part are shown.
     *
     * @param name `index`, `variance`, `symbol` (correlation ratio with the symbol `lag` steps earlier, or with whether
     *   this symbol is one of `group`; for real inputs the largest correlation with a feature), `condition` (correlation
     *   ratio with the delay), `axis` (entry of the first principal axis) or `cut` (what cutting the unit costs).
     * @param part The part.
     * @param collected What `collect` returned.
     * @param {lag, group} Steps, and the symbols of the group; an empty group: each symbol is a class.
     * @param ranking {group, size, drops}: what cutting each unit of some parts costs; null if it is unknown.
     * @returns {order: indices of the units from top to bottom, values: the sorted quantity of each unit, or null}.
     */
    function orderOf(name, part, collected, { lag, group }, ranking) {
        const indices = Array.from({ length: part.size }, (_, unit) => unit);
        const values = orderValues(name, part, collected, lag, group, ranking);
        return { order: values ? indices.sort((a, b) => values[b] - values[a] || a - b) : indices, values };
    }

    /** Return whether a ranking is one of the units of a part. */
    function isRanked(part, ranking) {
        return part.group === ranking.group && part.size === ranking.size;
    }

    function orderValues(name, part, collected, lag, group, ranking) {
        if (name === "index") return null;
        if (name === "cut") return ranking && isRanked(part, ranking) ? ranking.drops : null;
        const rows = collected.results.flatMap((result) => rowsOf(part, result));
        if (name === "variance") return Statistics.variance(rows, part.size);
        if (name === "axis") return Statistics.principalComponents(rows, part.size, 1).axes[0];
        const isReal = Array.isArray(collected.values[0][0]);
        if (name === "symbol" && isReal) return largestCorrelations(part, collected, lag, rows);
        const classOf = (symbol) => (group.length ? Number(group.includes(symbol)) : symbol);
        const classes = collected.values.flatMap((symbols, sequence) =>
            symbols.map((_, step) => {
                if (name === "condition") return collected.conditions[sequence];
                return step < lag ? -1 : classOf(symbols[step - lag]);
            }),
        );
        return Statistics.correlationRatio(rows, part.size, classes);
    }

    /** Return the size of the largest correlation of each unit with a feature of the input `lag` steps earlier. */
    function largestCorrelations(part, collected, lag, rows) {
        const largest = new Float64Array(part.size);
        for (let feature = 0; feature < collected.values[0][0].length; feature += 1) {
            const earlier = collected.values.flatMap((values) =>
                values.map((_, step) => (step < lag ? NaN : values[step - lag][feature])),
            );
            Statistics.correlation(rows, part.size, earlier).forEach((value, unit) => {
                largest[unit] = Math.max(largest[unit], Math.abs(value));
            });
        }
        return largest;
    }

    /**
     * Return the accuracy of each group of answers.
     *
     * @param sequences The stored sequences.
     * @param wrong [sequence, step, answer] of each wrong answer, as `score` of the engine returns them.
     * @param groupOf Returns the group of (sequence, step): the right symbol, or the delay.
     * @returns A map of accuracies by group.
     */
    function accuracyBy(sequences, wrong, groupOf) {
        const answers = new Map();
        const failures = new Map();
        const count = (counts, group) => counts.set(group, (counts.get(group) || 0) + 1);
        for (let i = 0; i < sequences.count * sequences.time; i += 1) {
            if (sequences.memory[i] && sequences.targets[i] !== Inputs.NOT_SCORED) {
                count(answers, groupOf(Math.floor(i / sequences.time), i % sequences.time));
            }
        }
        for (const [sequence, step] of wrong) count(failures, groupOf(sequence, step));
        return new Map(Array.from(answers, ([group, number]) => [group, 1 - (failures.get(group) || 0) / number]));
    }

    /**
     * Return the inputs that replace each input in turn when the effect of an exchange is measured: letters, or for real
     * inputs different inputs of the stored sequences.
     *
     * @param task The task.
     * @param sequences The stored sequences.
     * @param products The multiplications of one step of the network, which bound the number of replacements.
     * @param step The chosen step.
     */
    function replacements(task, sequences, products, step) {
        const affordable = Math.floor(MAX_PRODUCTS / ((products * ((step + 2) * (step + 1))) / 2));
        const count = Math.max(2, Math.min(MAX_REPLACEMENTS + 1, affordable));
        if (task.real_inputs) return spread(storedInputs(sequences), count);
        return spread(task.strings ? task.strings.letter_symbols : task.input_symbols.map((_, i) => i), count);
    }

    /** Return the different ones among real inputs at equal distances in the stored sequences. */
    function storedInputs({ count, time, features, inputs }) {
        const steps = spread(Array.from({ length: count * time }, (_, i) => i), MAX_CANDIDATES);
        const candidates = steps.map((i) => Array.from(inputs.subarray(i * features, (i + 1) * features)));
        return Array.from(new Map(candidates.map((values) => [values.join(), values])).values());
    }

    /** Return `count` items at about equal distances, the first and the last included; all if there are not more. */
    function spread(items, count) {
        if (items.length <= count) return items;
        return Array.from({ length: count }, (_, i) => items[Math.round((i * (items.length - 1)) / (count - 1))]);
    }

    return {
        gateLabel,
        titleOf,
        capitalised,
        meaningOf,
        withoutGroup,
        blockLabel,
        openSequences,
        open,
        compute,
        one,
        rowsOf,
        returnedByKeys,
        partOf,
        numbersOfUnit,
        describeEdits,
        collect,
        orderOf,
        accuracyBy,
        replacements,
    };
})();

if (typeof module !== "undefined") module.exports = Models;
