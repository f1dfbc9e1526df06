"use strict";
/** Slow measurements, as generators that can be run in slices: each `yield` is a place to pause. */
const Measure = (() => {
    const SLICE = 8; // sequences per pause
    const MOST_NUMBERS = 4e6; // numbers of their states per pause
    const RANKED_SEQUENCES = 50;
    const MOST_EXCHANGED = 400; // steps

    /**
     * Measure how an answer depends on the earlier inputs.
     *
     * @param network The network.
     * @param input The input of `Inputs.encode` or `Inputs.stored`.
     * @param edits The edits.
     * @param step The step of the answer.
     * @param target The target whose loss is measured.
     * @param replacements The inputs that replace each input in turn.
     * @yields After each exchanged step {gradient, changes: mean change of the loss by exchanging each step (NaN: not yet
     *     measured), predicted: the same by the gradient, target, replacements: the largest number of them, loss, first: the first exchanged step, isComplete}.
     */
    function* memory(network, input, edits, step, target, replacements) {
        const sequence = Models.one(input);
        const gradient = network.gradient(sequence, { edits }, step, target);
        const result = network.run(sequence, { edits });
        const others = (t) => replacements.filter((other) => String(other) !== String(input.values[t]));
        const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
        const found = {
            gradient,
            changes: new Float64Array(step + 1).fill(NaN),
            predicted: gradient.values.map((slopes, t) =>
                mean(others(t).map((other) => along(slopes, other) - along(slopes, input.values[t]))),
            ),
            target,
            replacements: Math.max(...input.values.map((_, t) => others(t).length)),
            loss: gradient.loss,
            first: Math.max(0, step + 1 - MOST_EXCHANGED),
            isComplete: false,
        };
        yield found;
        for (let t = step; t >= found.first; t -= 1) {
            const { changes } = network.exchange(sequence, { edits, result }, step, target, others(t), t, t + 1);
            found.changes[t] = mean(Array.from(changes[0]));
            found.isComplete = t === found.first;
            yield found;
        }
    }

    /** Return the product of the slopes with an input: the slope of a symbol, or the sum over the features. */
    function along(slopes, input) {
        return Array.isArray(input) ? input.reduce((sum, value, i) => sum + value * slopes[i], 0) : slopes[input];
    }

    /**
     * Count the right answers on the first stored sequences.
     *
     * @yields {share: the share of the sequences that is done, total: the counts so far}.
     * @returns {answers, right, loss, scored, wrong}, see `score` of the engine.
     */
    function* score(network, sequences, edits, count = sequences.count) {
        const total = { answers: 0, right: 0, loss: 0, scored: 0, wrong: [] };
        const affordable = Math.floor(MOST_NUMBERS / (sequences.time * network.stateSize));
        const slice = Math.max(1, Math.min(SLICE, affordable));
        for (let from = 0; from < count; from += slice) {
            const part = network.score(sequences, { edits }, from, Math.min(count, from + slice));
            for (const name of ["answers", "right", "loss", "scored"]) total[name] += part[name];
            total.wrong.push(...part.wrong);
            yield { share: Math.min(1, (from + slice) / count), total };
        }
        return total;
    }

    /**
     * Cut each unit of a part in turn, in the network without other edits.
     *
     * @yields The number of units that are done.
     * @returns {group, size, drops: the loss of accuracy by cutting each unit, or the rise of the squared error if there are no
     *   answers to count, sequences: number of sequences}.
     */
    function* ranking(model, network, part, sequences) {
        const count = Math.min(sequences.count, RANKED_SEQUENCES);
        const drops = new Float64Array(part.size);
        const whole = yield* silent(score(network, sequences, Inputs.noEdits(), count));
        for (let unit = 0; unit < part.size; unit += 1) {
            const units = Object.fromEntries(Models.numbersOfUnit(model, part, unit).map((number) => [number, 0]));
            const cut = yield* silent(score(network, sequences, { ...Inputs.noEdits(), units }, count), unit);
            drops[unit] = whole.answers
                ? (whole.right - cut.right) / whole.answers
                : (cut.loss - whole.loss) / whole.scored;
        }
        return { group: part.group, size: part.size, drops, sequences: count };
    }

    /** Run a generator, and yield a value of the caller at each of its pauses. */
    function* silent(steps, value = 0) {
        let step = steps.next();
        for (; !step.done; step = steps.next()) yield value;
        return step.value;
    }

    return { memory, score, ranking };
})();

if (typeof module !== "undefined") module.exports = Measure;
