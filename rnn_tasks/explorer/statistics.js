"use strict";

/**
 * Numbers about states and texts. Everything is deterministic.
 *
 * `rows` are arrays of numbers of equal length `size`, for instance Float64Arrays with the state at one step.
 */
const Statistics = (function () {
    /**
     * Return a random generator: Mulberry32 by T. Ettinger
     * (https://gist.github.com/tommyettinger/46a874533244883189143505d203312c).
     *
     * @param {number} seed An integer from 0 to 2^32 - 1.
     * @returns {function(): number} A function that returns the next random number, uniform in [0, 1), a multiple of
     *     2^-32.
     */
    function random(seed) {
        let state = seed >>> 0;
        return () => {
            state = (state + 0x6d2b79f5) >>> 0;
            let mixed = Math.imul(state ^ (state >>> 15), state | 1);
            mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
            return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
        };
    }

    /** Return the mean of each column, Float64Array(size); zeros without rows. */
    function mean(rows, size) {
        const result = new Float64Array(size);
        for (const row of rows) for (let column = 0; column < size; column++) result[column] += row[column];
        if (rows.length) for (let column = 0; column < size; column++) result[column] /= rows.length;
        return result;
    }

    /**
     * Return the variance of each column: the mean squared distance from the mean.
     *
     * @param {ArrayLike<number>[]} rows The rows.
     * @param {number} size Number of columns.
     * @returns {Float64Array} (size); zeros without rows.
     */
    function variance(rows, size) {
        const means = mean(rows, size);
        const result = new Float64Array(size);
        for (const row of rows) {
            for (let column = 0; column < size; column++) result[column] += (row[column] - means[column]) ** 2;
        }
        if (rows.length) for (let column = 0; column < size; column++) result[column] /= rows.length;
        return result;
    }

    /**
     * Return the correlation ratio of each column with the class of its row: the square root of the share of the
     * variance that is between the means of classes. 0: all classes have the same mean; 1: the class determines the
     * value.
     *
     * @param {ArrayLike<number>[]} rows The rows.
     * @param {number} size Number of columns.
     * @param {ArrayLike<number>} classes The class of each row, >= 0; rows of class -1 are ignored.
     * @returns {Float64Array} (size), from 0 to 1; 0 for constant columns.
     */
    function correlationRatio(rows, size, classes) {
        const groups = new Map();
        const used = [];
        rows.forEach((row, index) => {
            if (classes[index] < 0) return;
            if (!groups.has(classes[index])) groups.set(classes[index], []);
            groups.get(classes[index]).push(row);
            used.push(row);
        });
        const means = mean(used, size);
        const total = variance(used, size);
        const between = new Float64Array(size);
        for (const members of groups.values()) {
            const groupMeans = mean(members, size);
            const share = members.length / used.length;
            for (let column = 0; column < size; column++) {
                between[column] += share * (groupMeans[column] - means[column]) ** 2;
            }
        }
        return between.map((value, column) => {
            // Not by the variance: rounding errors may make it differ from 0.
            const constant = used.every((row) => row[column] === used[0][column]);
            return constant ? 0 : Math.sqrt(Math.min(1, value / total[column]));
        });
    }

    /**
     * Return the correlation (K. Pearson, 1895) of each column with a value of its row.
     *
     * @param {ArrayLike<number>[]} rows The rows.
     * @param {number} size Number of columns.
     * @param {ArrayLike<number>} values The value of each row; rows whose value is NaN are ignored.
     * @returns {Float64Array} (size), from -1 to 1; 0 if the column or the values are constant.
     */
    function correlation(rows, size, values) {
        const used = rows.filter((_, index) => !Number.isNaN(values[index]));
        const known = Array.from(values).filter((value) => !Number.isNaN(value));
        const column = known.map((value) => [value]);
        const [means, variances] = [mean(used, size), variance(used, size)];
        const [centre, spread] = [mean(column, 1)[0], variance(column, 1)[0]];
        const isConstant = (numbers) => numbers.every((number) => number === numbers[0]);
        return means.map((own, index) => {
            const numbers = used.map((row) => row[index]);
            if (isConstant(numbers) || isConstant(known)) return 0;
            const products = numbers.reduce((sum, number, row) => sum + (number - own) * (known[row] - centre), 0);
            return Math.max(-1, Math.min(1, products / used.length / Math.sqrt(variances[index] * spread)));
        });
    }

    /**
     * Return how much each number of the state changes, on average, at the steps that read each symbol. The first step
     * of a sequence is not counted: there is no state before it.
     *
     * @param {ArrayLike<number>[][]} states For each sequence the states after its steps.
     * @param {ArrayLike<number>[]} symbols For each sequence the symbols that it reads.
     * @param {number} size Numbers of a state.
     * @param {number} numSymbols Number of symbols.
     * @returns {{mean: Float64Array[], count: Int32Array}} For each symbol: the mean change of each number, (size),
     *     zeros if the symbol is not read; and the number of steps that read the symbol.
     */
    function meanChange(states, symbols, size, numSymbols) {
        const means = Array.from({length: numSymbols}, () => new Float64Array(size));
        const count = new Int32Array(numSymbols);
        states.forEach((sequence, index) => {
            for (let step = 1; step < sequence.length; step++) {
                const [before, after] = [sequence[step - 1], sequence[step]];
                const symbol = symbols[index][step];
                count[symbol] += 1;
                for (let column = 0; column < size; column++) means[symbol][column] += after[column] - before[column];
            }
        });
        means.forEach((change, symbol) => {
            if (count[symbol]) for (let column = 0; column < size; column++) change[column] /= count[symbol];
        });
        return {mean: means, count};
    }

    /**
     * Return the first principal components, by orthogonal iteration (G. H. Golub and C. F. Van Loan, "Matrix
     * Computations", 4th edition, section 8.2.4).
     *
     * The axes of components with nearly equal variances are not determined well. The time is that of rows * size *
     * min(rows, size) / 2 multiplications, and of about 2e8 for the iteration at most.
     *
     * @param {ArrayLike<number>[]} rows The rows.
     * @param {number} size Number of columns.
     * @param {number} [count] Number of components; 2 by default.
     * @returns {{mean: Float64Array, axes: Float64Array[], shares: number[]}} The mean of the rows, (size); the axes,
     *     each (size), of length 1, with the sign that makes the entry of largest magnitude positive; and the share of
     *     the variance along each axis. If the rows vary in fewer dimensions than `count`, the other axes are zeros.
     */
    function principalComponents(rows, size, count = 2) {
        const means = mean(rows, size);
        const centred = rows.map((row) => means.map((value, column) => row[column] - value));
        const columns = Array.from({length: size}, (_, column) => Float64Array.from(centred, (row) => row[column]));
        // Both matrices of products have the same eigenvalues, except for zeros: take the smaller one.
        const byRows = rows.length < size;
        const vectors = byRows ? centred : columns;
        const products = innerProducts(vectors);
        const order = vectors.length;
        let total = 0;
        for (let index = 0; index < order; index++) total += products[index * order + index];
        const {eigenvectors, eigenvalues} = largestEigenvectors(products, order, count, 1e-14 * total);
        const axes = eigenvectors.map((vector) => {
            const axis = byRows ? combination(vector, centred, size) : vector;
            const length = Math.sqrt(dot(axis, axis));
            return withSign(axis.map((value) => value / length));
        });
        while (axes.length < count) axes.push(new Float64Array(size));
        const shares = axes.map((_, index) => (index < eigenvalues.length ? eigenvalues[index] / total : 0));
        return {mean: means, axes, shares};
    }

    /** Return the inner products of all pairs of vectors, Float64Array(n * n). */
    function innerProducts(vectors) {
        const order = vectors.length;
        const result = new Float64Array(order * order);
        for (let first = 0; first < order; first++) {
            for (let second = 0; second <= first; second++) {
                const value = dot(vectors[first], vectors[second]);
                result[first * order + second] = value;
                result[second * order + first] = value;
            }
        }
        return result;
    }

    /** Return the inner product of two vectors; four sums at a time are faster than one. */
    function dot(one, other) {
        let sum0 = 0;
        let sum1 = 0;
        let sum2 = 0;
        let sum3 = 0;
        let index = 0;
        for (; index + 3 < one.length; index += 4) {
            sum0 += one[index] * other[index];
            sum1 += one[index + 1] * other[index + 1];
            sum2 += one[index + 2] * other[index + 2];
            sum3 += one[index + 3] * other[index + 3];
        }
        for (; index < one.length; index++) sum0 += one[index] * other[index];
        return sum0 + sum1 + sum2 + sum3;
    }

    /** Return the sum of rows, each multiplied by a factor. */
    function combination(factors, rows, size) {
        const result = new Float64Array(size);
        rows.forEach((row, index) => {
            for (let column = 0; column < size; column++) result[column] += factors[index] * row[column];
        });
        return result;
    }

    /** Return the vector or its negative, so that the entry of largest magnitude is positive. */
    function withSign(vector) {
        let largest = 0;
        for (const value of vector) if (Math.abs(value) > Math.abs(largest)) largest = value;
        return largest < 0 ? vector.map((value) => -value) : vector;
    }

    /**
     * Return the largest eigenvalues of a symmetric matrix without negative eigenvalues, at most `count`, and their
     * eigenvectors. Eigenvalues up to `negligible` are not returned.
     */
    function largestEigenvectors(matrix, order, count, negligible) {
        const generator = random(1);
        const eigenvectors = Array.from({length: Math.min(count, order)}, () =>
            Float64Array.from({length: order}, () => generator() - 0.5),
        );
        const matrixRows = Array.from({length: order}, (_, row) => matrix.subarray(row * order, (row + 1) * order));
        const maxIterations = Math.max(50, Math.min(1e5, Math.floor(2e8 / (order * order * count + 1))));
        const eigenvalues = [];
        for (let iteration = 0; iteration < maxIterations; iteration++) {
            let change = 0;
            eigenvalues.length = 0;
            for (let index = 0; index < eigenvectors.length; index++) {
                const product = Float64Array.from(matrixRows, (row) => dot(row, eigenvectors[index]));
                for (let earlier = 0; earlier < index; earlier++) {
                    const overlap = dot(product, eigenvectors[earlier]);
                    const vector = eigenvectors[earlier];
                    for (let entry = 0; entry < order; entry++) product[entry] -= overlap * vector[entry];
                }
                const length = Math.sqrt(dot(product, product));
                if (!(length > negligible)) {
                    eigenvectors.length = index; // no variance is left
                    break;
                }
                for (let entry = 0; entry < order; entry++) {
                    const value = product[entry] / length;
                    change = Math.max(change, Math.abs(value - eigenvectors[index][entry]));
                    eigenvectors[index][entry] = value;
                }
                eigenvalues.push(length);
            }
            if (change < 1e-12) break;
        }
        return {eigenvectors, eigenvalues};
    }

    /**
     * Return the coordinates of a row along principal components.
     *
     * @param {ArrayLike<number>} row The row.
     * @param {object} components What `principalComponents` returned.
     * @returns {number[]} One coordinate for each component.
     */
    function project(row, {mean: means, axes}) {
        return axes.map((axis) => axis.reduce((sum, value, column) => sum + value * (row[column] - means[column]), 0));
    }

    /**
     * Prepare a grammar for `grammarOdds` and `logProbabilities`. A text of the grammar is a stream of independent
     * sentences, each followed by a space. No sentence with its space is a prefix of another.
     *
     * @param {{sentences: string[], probabilities: number[]}} description All sentences, and the probability of each.
     * @returns {{sentences: string[], probabilities: number[]}} The sentences with their spaces, sorted, and the
     *     probabilities.
     */
    function grammar({sentences, probabilities}) {
        const pairs = sentences.map((sentence, index) => [`${sentence} `, probabilities[index]]);
        pairs.sort(([one], [other]) => (one < other ? -1 : Number(one > other)));
        return {
            sentences: pairs.map(([sentence]) => sentence),
            probabilities: pairs.map(([, probability]) => probability),
        };
    }

    /** Return the first index from low to high at which a condition is true; it stays true once it is true. */
    function firstIndex(low, high, condition) {
        while (low < high) {
            const middle = (low + high) >>> 1;
            if (condition(middle)) high = middle;
            else low = middle + 1;
        }
        return low;
    }

    /**
     * Return the state before the first character of a sentence. A state {low, high, depth} means: `depth` characters
     * of a sentence were read, and the sentences with numbers from low to high - 1 start with them.
     */
    function sentenceStart({sentences}) {
        return {low: 0, high: sentences.length, depth: 0};
    }

    /** Return the state after a further character; null if no sentence continues with the character. */
    function readCharacter({sentences}, {low, high, depth}, character) {
        const start = firstIndex(low, high, (number) => sentences[number][depth] >= character);
        const end = firstIndex(start, high, (number) => sentences[number][depth] > character);
        return start < end ? {low: start, high: end, depth: depth + 1} : null;
    }

    /** Return the state before the next character: a new sentence follows a complete one. */
    function afterCharacter(prepared, state) {
        return state.depth === prepared.sentences[state.low].length ? sentenceStart(prepared) : state;
    }

    /** Return the probability of the sentences of a state. */
    function probabilityOf({probabilities}, {low, high}) {
        let sum = 0;
        for (let number = low; number < high; number++) sum += probabilities[number];
        return sum;
    }

    /**
     * Return the exact probabilities of the next character of a text.
     *
     * @param {object} prepared What `grammar` returned.
     * @param {string} text A text that starts with a sentence, or with a space and a sentence; it may end anywhere.
     * @returns {?Object<string, number>} The probability of each possible character; null if the grammar cannot produce
     *     the text.
     */
    function grammarOdds(prepared, text) {
        let state = sentenceStart(prepared);
        for (const character of text.startsWith(" ") ? text.slice(1) : text) {
            const next = readCharacter(prepared, state, character);
            if (next === null) return null;
            state = afterCharacter(prepared, next);
        }
        const total = probabilityOf(prepared, state);
        const odds = {};
        for (let number = state.low; number < state.high; number++) {
            const character = prepared.sentences[number][state.depth];
            odds[character] = (odds[character] ?? 0) + prepared.probabilities[number] / total;
        }
        return odds;
    }

    /**
     * Return the exact log probability of each character of a text given the characters before it.
     *
     * @param {object} prepared What `grammar` returned.
     * @param {string} text A text that starts with a sentence, or with a space (of probability 1) and a sentence; it
     *     may end anywhere.
     * @returns {(?number)[]} Log probabilities in nats, one for each character; null from the first character on that
     *     the grammar cannot produce.
     */
    function logProbabilities(prepared, text) {
        const logs = new Array(text.length).fill(null);
        const first = text.startsWith(" ") ? 1 : 0;
        if (first) logs[0] = 0;
        let state = sentenceStart(prepared);
        for (let position = first; position < text.length; position++) {
            const next = readCharacter(prepared, state, text[position]);
            if (next === null) break;
            logs[position] = Math.log(probabilityOf(prepared, next) / probabilityOf(prepared, state));
            state = afterCharacter(prepared, next);
        }
        return logs;
    }

    return {
        random,
        variance,
        correlationRatio,
        correlation,
        meanChange,
        principalComponents,
        project,
        grammar,
        grammarOdds,
        logProbabilities,
    };
})();
if (typeof module !== "undefined") module.exports = Statistics;
