"use strict";
/** The page: its state, its controls, and when which panel is drawn. */
(() => {
    const SLICE = 12; // milliseconds of background work between two events
    const PAUSE = 150; // milliseconds before slow measurements, so that they do not delay the next step
    const PLAY_INTERVAL = 300; // milliseconds per step
    const CONTINUATION = 20; // characters
    const MAX_TEMPERATURE = 5;
    const MAX_WIDTH = 15900; // pixels; browsers do not draw wider canvases
    const REDRAW_INTERVAL = 400; // milliseconds between two pictures of unfinished measurements
    const MOST_RANKED = 8; // units
    const MOST_FEATURES = 6; // fields for the input of a step
    const PANELS = ["answer", "state", "plane", "memory", "change"];
    const { element, find } = Shared;
    const byId = (id) => document.getElementById(id);

    const data = JSON.parse(byId("data").textContent);
    const task = withCharacters(data.task);
    const sequences = Models.openSequences(data.sequences);
    const grammar = task.grammar ? Statistics.grammar(task.grammar) : null;
    const models = data.runs.map((run) => Models.open(run, task));
    const canType = task.strings !== null && models.every((model) => model.live) && !encodeExample().error;
    const hasInput = canType || sequences !== null;
    const canChange = task.real_inputs && sequences !== null && models.every((model) => model.live);
    const startsTyped = canType && (task.strings.answers !== null || sequences === null);
    const defaults = defaultView();
    const collected = models.map(() => new Map());
    const scores = models.map(() => new Map());
    const rankings = models.map(() => new Map());
    const results = models.map(() => ({ key: null, value: null }));
    const maps = models.map(() => ({ key: null, value: null }));
    const paths = models.map(() => ({ key: null, value: null }));
    const memories = models.map(() => ({ key: null, value: null }));

    let view = hasInput ? viewOfUrl() : defaults;
    let context = null;
    const jobs = {};
    let timer = null;

    /** Return the task with the characters of its symbols, for text. */
    function withCharacters(values) {
        const characters = values.input_symbols.slice();
        if (values.strings)
            values.strings.letter_symbols.forEach((symbol, i) => (characters[symbol] = values.strings.letters[i]));
        const outputs = values.is_text ? characters : values.output_symbols;
        return { ...values, input_characters: characters, output_characters: outputs };
    }

    function defaultView() {
        const strings = task.strings || { example: "", example_delay: 0 };
        return {
            text: strings.example,
            delay: strings.example_delay,
            sequence: startsTyped ? null : longestSequence(),
            changes: [],
            step: hasInput ? firstStep() : 0,
            runs: models.map((model) => ({
                moment: model.moments.length - 1,
                part: model.parts[0].name,
                unit: 0,
                order: "index",
                lag: 1,
                group: "",
                block: model.blocks[0] || "",
                edits: Inputs.noEdits(),
            })),
        };
    }

    /** Return the number of the first among the longest stored sequences that the page can show. */
    function longestSequence() {
        if (!sequences) return 0;
        const lengths = Array.from({ length: limits().sequences }, (_, index) => Inputs.lengthOf(sequences, index));
        return lengths.indexOf(Math.max(...lengths));
    }

    /** Return the step that the page shows first: that of the first answer to a typed text, or the last one. */
    function firstStep() {
        if (!startsTyped) return Inputs.lengthOf(sequences, longestSequence()) - 1;
        const { memory, due } = encodeExample();
        return Math.max(0, (memory.includes(1) ? memory : due).indexOf(1));
    }

    function encodeExample() {
        return Inputs.encode(task.strings, task.strings.example, task.strings.example_delay);
    }

    /** Return the input that a view chooses; {error} if its text is not valid. */
    function inputOf({ text, delay, sequence, changes }) {
        if (sequence === null) return Inputs.encode(task.strings, text, delay);
        return Inputs.stored(sequences, sequence, changes);
    }

    /** Return the view of the URL, with the default input if that of the URL is not valid. */
    function viewOfUrl() {
        const found = Inputs.fromFragment(location.hash.slice(1), defaults, limits());
        const { text, delay, sequence } = defaults;
        return inputOf(found).error ? { ...found, text, delay, sequence } : found;
    }

    /** Return the names of the orders of units that make sense for the task. */
    function orders() {
        return Object.keys(Panels.state.orderLabels(task)).filter(
            (name) => name !== "condition" || (sequences && sequences.conditions),
        );
    }

    function limits() {
        const strings = task.strings || { min_delay: 0, max_delay: 0 };
        const stored = sequences ? sequences.count : 0;
        return {
            canType,
            steps: Math.max(Inputs.MAX_STEPS, sequences ? sequences.time : 0),
            sequences: Math.min(stored, ...models.map((model) => (model.live ? stored : model.recordings))),
            features: canChange ? task.input_size : 0,
            delay: [strings.min_delay, strings.max_delay],
            runs: models.map((model) => ({
                moments: model.moments.length,
                parts: model.parts.map((part) => part.name),
                units: model.hidden,
                orders: orders(),
                blocks: model.blocks,
                matrices: model.matrices,
                gates: model.live ? model.gates : [],
                hidden: model.hidden,
                stateSize: model.live ? model.stateSize : 0,
            })),
        };
    }

    // Computing -----------------------------------------------------------------------------------------------------

    /** Compute everything that the view determines, and draw it. Slow parts follow in the background. */
    function update() {
        const input = inputOf(view);
        view.step = Math.min(view.step, input.values.length - 1);
        const width = document.querySelector("main").clientWidth - 32;
        const steps = input.values.length;
        const head = width < 600 ? 56 : 84;
        const hasLetters = !task.real_inputs || !task.real_targets;
        const cellOf = (available) => {
            const room = (available - head - 20) / steps;
            const fitting = hasLetters ? Math.max(9, Math.min(22, Math.floor(room))) : Math.max(2, Math.min(22, room));
            return Math.min(fitting, (MAX_WIDTH - head) / steps);
        };
        const half = width < 1000 ? width : width / 2 - 16;
        context = {
            task,
            input,
            sequences,
            grammar,
            head,
            cell: cellOf(half),
            sharedCell: cellOf(models.length > 1 ? width : half),
            view,
            step: view.step,
            actions: { setStep, choose, toggleConnection },
            runs: models.map((model, index) => describe(model, index, input)),
        };
        draw();
        runInSlices("background", background(), PAUSE);
    }

    function describe(model, index, input) {
        const own = view.runs[index];
        const part = Models.partOf(model, own.part);
        own.part = part.name;
        own.unit = Math.min(own.unit, part.size - 1);
        const key = JSON.stringify([input.values, input.condition, own.moment, own.edits]);
        const result = remembered(results[index], key, () => Models.compute(model, input, view.sequence, own));
        const known = collectedStates(model, index, own.moment, input);
        const ranking = rankings[index].get(own.moment) || null;
        const described = {
            model,
            part,
            result,
            ranking,
            key,
            letter: models.length > 1 ? "AB"[index] : "",
            view: own,
            collected: known,
            order: remembered(known.order, JSON.stringify([own.order, part.name, own.lag, own.group, ranking]), () =>
                Models.orderOf(own.order, part, known, { lag: own.lag, group: symbolsOf(own.group) }, ranking),
            ),
            memory: null,
            score: {
                unchanged: scores[index].get(scoreKey(own.moment, Inputs.noEdits())),
                changed: scores[index].get(scoreKey(own.moment, own.edits)),
            },
        };
        const mapKey = JSON.stringify([key, part.name, Array.from(described.order.order)]);
        return {
            ...described,
            map: remembered(maps[index], mapKey, () => Panels.state.mapOf(described)),
            path: remembered(paths[index], key, () => Panels.plane.pathOf(described)),
        };
    }

    /** Return the input symbols of some letters. */
    function symbolsOf(letters) {
        return Array.from(letters, (letter) => task.input_characters.indexOf(letter)).filter((symbol) => symbol >= 0);
    }

    /** Return the value of a store {key, value}; compute it if the key has changed. */
    function remembered(store, key, computeValue) {
        if (store.key !== key) Object.assign(store, { value: computeValue(), key });
        return store.value;
    }

    const scoreKey = (moment, edits) => `${moment} ${JSON.stringify(edits)}`;

    /** Return the states on the stored sequences with their principal components; computed once per moment. */
    function collectedStates(model, index, moment, input) {
        const key = sequences ? moment : `${moment} ${JSON.stringify(input)}`;
        if (!collected[index].has(key)) {
            const found = Models.collect(model, moment, sequences, input);
            const rows = found.results.flatMap((result) => result.states);
            const components = Statistics.principalComponents(rows, model.stateSize, 2);
            const every = Math.max(1, Math.floor(rows.length / 500));
            const faint = rows.filter((_, i) => i % every === 0).map((row) => Statistics.project(row, components));
            if (!sequences) collected[index].clear();
            collected[index].set(key, { ...found, components, faint, order: { key: null, value: null } });
        }
        return collected[index].get(key);
    }

    /**
     * Run a generator in slices, so that the page stays responsive. The next call for the same job ends it.
     *
     * @param job The name of the job.
     * @param steps The generator.
     * @param pause Milliseconds before it starts.
     */
    function runInSlices(job, steps, pause = 0) {
        jobs[job] = (jobs[job] || 0) + 1;
        const mine = jobs[job];
        const slice = () => {
            const end = performance.now() + SLICE;
            while (mine === jobs[job] && performance.now() < end) if (steps.next().done) return;
            if (mine === jobs[job]) setTimeout(slice, 0);
        };
        setTimeout(slice, pause);
    }

    /** Measure what the panels of memory and of changes show, and draw it: the accuracy of changed networks first. */
    function* background() {
        const live = Array.from(context.runs.entries()).filter(([, run]) => run.model.live);
        for (const [index, run] of live) {
            if (sequences && Inputs.countEdits(run.view.edits)) yield* measureScore(index, run, "changed");
        }
        const steps = live.map(([index, run]) => measureMemory(index, run));
        if (sequences) steps.push(...live.map(([index, run]) => measureScore(index, run, "unchanged")));
        while (steps.length) {
            const next = steps.shift();
            if (!next.next().done) steps.push(next);
            yield;
        }
    }

    function* measureMemory(index, run) {
        const { input, step } = context;
        const { moment, edits } = run.view;
        const target = Shared.targetOf(context, index, step);
        if (target === Inputs.NOT_SCORED) return;
        const key = JSON.stringify([run.key, step, target]);
        if (memories[index].key !== key) {
            const replacements = Models.replacements(task, sequences, productsOf(run.model), step);
            let drawn = -Infinity;
            for (const found of Measure.memory(run.model.network(moment), input, edits, step, target, replacements)) {
                run.memory = found;
                if (performance.now() - drawn > REDRAW_INTERVAL) {
                    drawRun("memory", index);
                    drawn = performance.now();
                }
                yield;
            }
            memories[index] = { key, value: run.memory };
        }
        run.memory = memories[index].value;
        drawRun("memory", index);
        yield;
    }

    /** Return about how many multiplications one step of a network takes. */
    function productsOf(model) {
        const sizes = Object.values(model.run.weights).map(({ shape }) => shape.reduce((a, b) => a * b, 1));
        return sizes.reduce((sum, size) => sum + size, model.stateSize);
    }

    /** Measure the accuracy of a run, `unchanged` or `changed`; show how far the measurement is. */
    function* measureScore(index, run, name) {
        const edits = name === "changed" ? run.view.edits : Inputs.noEdits();
        const key = scoreKey(run.view.moment, edits);
        if (!scores[index].has(key)) {
            const progress = find(elementOf("change", index), "progress");
            const steps = Measure.score(run.model.network(run.view.moment), sequences, edits);
            let step = steps.next();
            for (; !step.done; step = steps.next()) {
                const { share, total } = step.value;
                const accuracy = total.answers ? `, accuracy so far ${(total.right / total.answers).toFixed(3)}` : "";
                progress.textContent = `Measuring the ${name} network: ${Math.round(100 * share)} %${accuracy}`;
                yield;
            }
            progress.textContent = "";
            scores[index].set(key, step.value);
        }
        run.score[name] = scores[index].get(key);
        if (!Inputs.countEdits(run.view.edits)) run.score.changed = run.score.unchanged;
        drawRun("change", index);
        drawChanges();
    }

    function* measureRanking(index) {
        const { model, part } = context.runs[index];
        const { moment } = view.runs[index];
        const say = (text) => {
            for (const [panel, name] of [
                ["change", "rank-progress"],
                ["state", "rank-note"],
            ]) {
                find(elementOf(panel, index), name).textContent = text;
            }
        };
        const steps = Measure.ranking(model, model.network(moment), part, sequences);
        let step = steps.next();
        for (; !step.done; step = steps.next()) {
            say(`Cutting each unit in turn: ${step.value} of ${part.size} units`);
            yield;
        }
        say("");
        rankings[index].set(moment, step.value);
        view.runs[index].order = "cut";
        update();
    }

    function startRanking(index) {
        runInSlices(`ranking ${index}`, measureRanking(index));
    }

    // Drawing -------------------------------------------------------------------------------------------------------

    const elementOf = (panel, index) => byId(panel).querySelectorAll(".run")[index];

    function drawRun(panel, index) {
        Panels[panel].draw(context, index, elementOf(panel, index));
    }

    function draw() {
        Panels.answer.drawShared(context, byId("answer"));
        const isMatrix = context.runs.map(({ part }) => part.columns > 1);
        byId("map-help").hidden = isMatrix.every(Boolean);
        byId("matrix-help").hidden = !isMatrix.some(Boolean);
        models.forEach((_, index) => {
            PANELS.forEach((panel) => drawRun(panel, index));
            drawControls(index);
        });
        byId("step").max = context.input.values.length - 1;
        byId("step").value = view.step;
        byId("step-value").textContent = `${view.step} of ${context.input.values.length - 1}`;
        byId("delay").value = view.delay;
        byId("delay-value").textContent = view.sequence === null ? String(view.delay) : "–";
        byId("delay").disabled = view.sequence !== null;
        const isTyped = view.sequence === null;
        if (document.activeElement !== byId("text") || !isTyped) byId("text").value = isTyped ? view.text : "";
        for (const field of byId("features").querySelectorAll("input")) {
            if (document.activeElement === field) continue;
            field.value = Number(context.input.values[view.step][field.dataset.feature].toPrecision(4));
        }
        byId("restore").disabled = !view.changes.length;
        byId("text").placeholder = isTyped ? "" : "type here instead of the stored sequence";
        byId("sequence").value = view.sequence === null ? "" : String(view.sequence);
        const isBeingTyped = isTyped && byId("text").value !== view.text; // the message says why it is not valid
        if (!isBeingTyped) byId("message").textContent = context.input.note;
        byId("link").hidden = true; // the link is that of another view now
        drawChanges();
        showStep();
        rememberInUrl();
    }

    /** Say below the controls what is changed, and what this costs. */
    function drawChanges() {
        const counts = context.runs.map((run) => Models.describeEdits(run.model, run.view.edits).length);
        const count = counts.reduce((sum, own) => sum + own, 0);
        byId("undo").disabled = count === 0;
        byId("undo").textContent = count > 1 ? `Undo all ${count} changes` : "Undo all changes";
        byId("changes").textContent = context.runs.map(Panels.change.changesText).filter(Boolean).join(" ");
    }

    /** Show the values of the controls of a run, and the list of its edits. */
    function drawControls(index) {
        const run = context.runs[index];
        const own = view.runs[index];
        const stateElement = elementOf("state", index);
        find(stateElement, "part").value = own.part;
        find(stateElement, "order").value = own.order;
        find(stateElement, "lag").value = own.lag;
        find(stateElement, "lag-field").hidden = own.order !== "symbol";
        find(stateElement, "group-field").hidden = own.order !== "symbol" || task.real_inputs;
        if (document.activeElement !== find(stateElement, "group")) find(stateElement, "group").value = own.group;
        find(stateElement, "order-field").hidden = run.part.columns > 1;
        find(stateElement, "unit").value = own.unit;
        find(stateElement, "unit").max = run.part.size - 1;
        const slider = byId(`moment-${index}`);
        if (slider) {
            slider.value = own.moment;
            byId(`moment-value-${index}`).textContent = run.model.moments[own.moment].label;
        }
        const changeElement = elementOf("change", index);
        find(changeElement, "block").value = own.block;
        find(changeElement, "scale").value = own.edits.scale[own.block] === undefined ? 1 : own.edits.scale[own.block];
        find(changeElement, "noise").value = own.edits.noise.level;
        find(changeElement, "edits").replaceChildren(...editButtons(index));
        const numbers = Models.numbersOfUnit(run.model, run.part, own.unit);
        find(stateElement, "release").disabled = !numbers.some((number) => number in own.edits.units);
        for (const name of ["cut", "mean"]) find(stateElement, name).disabled = !numbers.length;
        find(changeElement, "rank").disabled = !run.model.live || !sequences || !numbers.length;
        find(changeElement, "ranking").replaceChildren(...rankingButtons(index));
        const isUnranked = own.order === "cut" && !run.ranking;
        find(stateElement, "rank-note").textContent = isUnranked
            ? "At this moment of the training, the units have not been cut in turn."
            : "";
    }

    /** Return a button for each edit, which undoes the edit. */
    function editButtons(index) {
        const described = Models.describeEdits(models[index], view.runs[index].edits);
        if (!described.length) return [element("li", "none")];
        return described.map(({ label, undo }) => {
            const item = element("li");
            const button = element("button", `${label} ✕`);
            button.type = "button";
            button.addEventListener("click", () => edit(index, undo));
            item.append(button);
            return item;
        });
    }

    /** Return the units whose cut costs most accuracy, as buttons that choose them. */
    function rankingButtons(index) {
        const { ranking } = context.runs[index];
        if (!ranking) return [];
        const quantity = task.real_targets ? "Rise of the squared error" : "Change of the accuracy";
        const caption = element("span", `${quantity} by cutting one unit, on ${ranking.sequences} sequences: `);
        const buttons = Array.from(ranking.drops, (drop, unit) => ({ drop, unit }))
            .sort((a, b) => b.drop - a.drop)
            .slice(0, MOST_RANKED)
            .map(({ drop, unit }) => {
                const isLower = drop > 0 !== task.real_targets;
                const size = task.real_targets ? Shared.shown(Math.abs(drop)) : Math.abs(drop).toFixed(3);
                const button = element("button", `unit ${unit}: ${isLower ? "−" : "+"}${size}`);
                button.type = "button";
                button.addEventListener("click", () => choose(index, unit, view.step));
                return button;
            });
        return [caption, ...buttons];
    }

    /** Scroll the time lines so that the chosen step is visible. */
    function showStep() {
        for (const scroll of document.querySelectorAll(".scroll")) {
            if (scroll.querySelector('[data-part="matrix"], [data-part="image"]')) continue;
            const cell = scroll.contains(byId("time-line")) ? context.sharedCell : context.cell;
            const left = context.head + cell * view.step;
            const visible = scroll.clientWidth;
            if (left < scroll.scrollLeft + context.head || left + cell > scroll.scrollLeft + visible) {
                scroll.scrollLeft = Math.max(0, left - visible / 2);
            }
        }
    }

    function rememberInUrl() {
        const fragment = Inputs.toFragment(view, defaults);
        if (fragment !== location.hash.slice(1)) history.replaceState(null, "", `#${fragment}`);
    }

    // Actions -------------------------------------------------------------------------------------------------------

    function setStep(step) {
        view.step = Math.max(0, Math.min(step, context.input.values.length - 1));
        update();
    }

    /** Change a feature of the input at the chosen step. */
    function changeFeature(feature, value) {
        const others = view.changes.filter(([step, other]) => step !== view.step || other !== feature);
        chooseInput({ changes: [...others, [view.step, feature, value]] });
    }

    /** Show another input; if it is not valid, say why and keep the input. */
    function chooseInput(change) {
        const { error } = inputOf({ ...view, ...change });
        if (error) {
            byId("message").textContent = error;
            return;
        }
        view = { ...view, ...change };
        update();
    }

    function choose(index, unit, step) {
        view.runs[index].unit = unit;
        setStep(step);
    }

    /** Change the edits of a run by a function that changes a copy of them. */
    function edit(index, apply) {
        const changed = JSON.parse(JSON.stringify(view.runs[index].edits));
        apply(changed);
        view.runs[index].edits = Inputs.withoutRemains(changed);
        update();
    }

    function toggleConnection(index, i, j) {
        const { block } = view.runs[index];
        edit(index, (changed) => {
            const pairs = changed.connections[block] || [];
            const others = pairs.filter(([a, b]) => a !== i || b !== j);
            changed.connections[block] = others.length < pairs.length ? others : [...pairs, [i, j]];
        });
    }

    /** Hold the chosen unit of a run at a value: a number, or a function of the number in the flat state. */
    function holdUnit(index, valueOf) {
        const { model, part, view: own } = context.runs[index];
        edit(index, (changed) => {
            for (const number of Models.numbersOfUnit(model, part, own.unit)) changed.units[number] = valueOf(number);
        });
    }

    function meanOf(index, number) {
        const rows = context.runs[index].collected.results.flatMap((result) => result.states);
        return rows.reduce((sum, row) => sum + row[number], 0) / rows.length;
    }

    function play() {
        if (timer !== null) {
            clearInterval(timer);
            timer = null;
        } else {
            if (view.step === context.input.values.length - 1) setStep(0);
            timer = setInterval(() => {
                setStep(view.step + 1);
                if (view.step === context.input.values.length - 1) play();
            }, PLAY_INTERVAL);
        }
        byId("play").textContent = timer === null ? "Play" : "Stop";
    }

    /** Let the first network continue the text; the random choices depend only on the text. */
    function continueText() {
        const temperature = Math.max(0, Math.min(MAX_TEMPERATURE, Number(byId("temperature").value) || 0));
        const own = view.runs[0];
        const network = models[0].network(own.moment);
        const first = Array.from(view.text).length;
        const random = Statistics.random(first);
        let { text } = view;
        for (let i = 0; i < CONTINUATION; i += 1) {
            const input = Inputs.encode(task.strings, text, view.delay);
            if (input.error) break;
            const { outputs } = network.run(Models.one(input), { edits: own.edits });
            const last = outputs[outputs.length - 1];
            const symbol = temperature > 0 ? sampled(last, temperature, random()) : Shared.argmax(last);
            const letter = task.strings.letters[task.strings.letter_symbols.indexOf(symbol)];
            text += letter === undefined ? "?" : letter;
        }
        chooseInput({ text, sequence: null, step: first });
    }

    /** Draw a symbol from the odds of logits, divided by a temperature; `share` is a random number from 0 to 1. */
    function sampled(logits, temperature, share) {
        const odds = Engine.softmax(
            logits.map((value) => value / temperature),
            0,
            logits.length,
        );
        let rest = share;
        for (let symbol = 0; symbol < odds.length; symbol += 1) {
            rest -= odds[symbol];
            if (rest < 0) return symbol;
        }
        return odds.length - 1;
    }

    /** Show the link to the present view, and copy it where the browser allows it. */
    function copyLink() {
        const field = byId("link");
        field.hidden = false;
        field.value = location.href;
        field.select();
        const isFile = location.protocol === "file:";
        const advice = isFile ? " On another computer, open this page there and add the part from # on." : "";
        const say = (text) => (byId("message").textContent = `${text}${advice}`);
        say("This link opens the page as it is now.");
        if (navigator.clipboard) {
            navigator.clipboard.writeText(location.href).then(
                () => say("The link is copied. It opens the page as it is now."),
                () => field.select(),
            );
        }
    }

    // Building ------------------------------------------------------------------------------------------------------

    function fillSelect(select, options) {
        select.replaceChildren(
            ...options.map(([value, label]) => {
                const option = element("option", label);
                option.value = value;
                return option;
            }),
        );
    }

    function buildControls() {
        const { strings } = task;
        byId("text-field").hidden = !canType;
        byId("continue-field").hidden = !(canType && task.is_text);
        byId("delay-field").hidden = !(canType && strings.min_delay < strings.max_delay);
        const count = limits().sequences;
        byId("sequence-field").hidden = !count;
        if (!canType) byId("sequence-label").textContent = "Stored sequence";
        const options = Array.from({ length: count }, (_, i) => [String(i), sequenceLabel(i)]);
        fillSelect(byId("sequence"), canType ? [["", "none: as typed"], ...options] : options);
        if (canType) {
            byId("delay").min = strings.min_delay;
            byId("delay").max = strings.max_delay;
            byId("text").maxLength = Inputs.MAX_STEPS;
        }
        const on = (id, event, action) => byId(id).addEventListener(event, action);
        on("controls", "submit", (event) => event.preventDefault());
        on("text", "input", () => {
            const field = byId("text");
            if (!task.strings.letters.includes("\n")) field.value = field.value.replace(/\n/g, "");
            chooseInput({ text: field.value, sequence: null });
        });
        on("sequence", "change", () => {
            const sequence = byId("sequence").value === "" ? null : Number(byId("sequence").value);
            chooseInput({ sequence, changes: [] });
        });
        byId("features-field").hidden = !canChange;
        if (canChange) byId("features").append(...featureFields());
        on("restore", "click", () => chooseInput({ changes: [] }));
        on("delay", "input", () => chooseInput({ delay: Number(byId("delay").value) }));
        on("step", "input", () => setStep(Number(byId("step").value)));
        on("back", "click", () => setStep(view.step - 1));
        on("forward", "click", () => setStep(view.step + 1));
        on("play", "click", play);
        on("continue", "click", continueText);
        on("copy-link", "click", copyLink);
        on("undo", "click", () => {
            for (const run of view.runs) run.edits = Inputs.noEdits();
            update();
        });
        models.forEach((model, index) => {
            if (model.moments.length > 1) byId("moments").append(momentSlider(model, index));
        });
    }

    /** Return a field for each of the first features of the input at the chosen step. */
    function featureFields() {
        return Array.from({ length: Math.min(task.input_size, MOST_FEATURES) }, (_, feature) => {
            const label = element("label", `${Shared.featureLabel(task, feature)} `);
            const field = element("input");
            Object.assign(field, { type: "number", step: "any" });
            field.dataset.feature = feature;
            field.addEventListener("input", () => {
                if (field.value !== "") changeFeature(feature, Number(field.value));
            });
            label.append(field);
            return label;
        });
    }

    /** Return the name of a stored sequence: its first letters, or those of its targets if the inputs are numbers. */
    function sequenceLabel(index) {
        const input = Inputs.stored(sequences, index);
        const delay = input.condition === null ? "" : `, delay ${input.condition}`;
        if (task.real_inputs && task.real_targets) return `${index}${delay}`;
        const letters = task.real_inputs
            ? input.targets.filter((target) => target >= 0).map((symbol) => task.output_symbols[symbol])
            : input.values.map((symbol) => task.input_symbols[symbol]);
        const target = task.real_inputs ? "target " : "";
        return `${index}: ${target}${letters.slice(0, 24).join("")}${letters.length > 24 ? "…" : ""}${delay}`;
    }

    function momentSlider(model, index) {
        const label = element("label", models.length > 1 ? `Training ${"AB"[index]} ` : "Training ");
        const slider = element("input");
        Object.assign(slider, { type: "range", min: 0, max: model.moments.length - 1, step: 1, id: `moment-${index}` });
        slider.addEventListener("input", () => {
            view.runs[index].moment = Number(slider.value);
            update();
        });
        const value = element("output");
        value.id = `moment-value-${index}`;
        label.append(slider, value);
        return label;
    }

    function buildPanels() {
        for (const panel of PANELS) {
            const section = byId(panel);
            const head = element("div", "", "panel-head");
            const tools = element("span");
            for (const [label, action] of [
                ["PNG", Saving.picture],
                ["JSON", Saving.numbers],
            ]) {
                const button = element("button", label);
                button.type = "button";
                button.title = label === "PNG" ? "Save this panel as a picture" : "Save the numbers of this panel";
                button.addEventListener("click", () => action(context, panel));
                tools.append(button);
            }
            const title = section.querySelector("h2");
            section.prepend(head);
            head.append(title, tools);
            const template = byId(`${panel}-run`).content;
            data.runs.forEach((run, index) => {
                const copy = template.cloneNode(true).firstElementChild;
                copy.querySelector("h3").textContent = data.runs.length > 1 ? run.label : "";
                section.querySelector(".runs").append(copy);
                if (!run.live) for (const part of copy.querySelectorAll('[data-part~="live"]')) part.hidden = true;
                if (panel === "state") buildState(copy, index);
                if (panel === "change") buildChange(copy, index);
            });
        }
        Panels.answer.addCurves(task, byId("loss"));
        byId("answer-help").hidden = task.real_targets;
        byId("change-help").hidden = models.every((model) => !model.live);
        for (const part of document.querySelectorAll('[data-part~="letters"]')) part.hidden = task.real_inputs;
        const line = byId("time-line");
        const chooseAt = (event) => {
            const under = document.elementFromPoint(event.clientX, event.clientY);
            const cell = under && line.contains(under) ? under.closest("td") : null;
            if (cell && Number(cell.dataset.step) !== view.step) setStep(Number(cell.dataset.step));
        };
        line.addEventListener("pointerdown", chooseAt);
        line.addEventListener("pointermove", (event) => {
            if (event.buttons & 1) chooseAt(event);
        });
    }

    function buildState(root, index) {
        const model = models[index];
        const own = () => view.runs[index];
        fillSelect(
            find(root, "part"),
            model.parts.map((part) => [part.name, part.label]),
        );
        fillSelect(
            find(root, "order"),
            orders().map((name) => [name, Panels.state.orderLabels(task)[name]]),
        );
        find(root, "part").addEventListener("change", (event) => {
            own().part = event.target.value;
            update();
        });
        find(root, "order").addEventListener("change", (event) => {
            own().order = event.target.value;
            update();
            if (own().order === "cut" && !context.runs[index].ranking && model.live && sequences) startRanking(index);
        });
        for (const name of ["lag", "unit"]) {
            find(root, name).addEventListener("change", (event) => {
                const most = name === "lag" ? context.input.values.length - 1 : Infinity;
                own()[name] = Math.max(0, Math.min(most, Math.floor(Number(event.target.value)) || 0));
                update();
            });
        }
        find(root, "group").addEventListener("input", (event) => {
            own().group = event.target.value;
            update();
            const unknown = Array.from(own().group).filter((letter) => !task.input_characters.includes(letter));
            if (unknown.length) byId("message").textContent = `Not a letter of this task: ${unknown.join("")}`;
        });
        find(root, "cut").addEventListener("click", () => holdUnit(index, () => 0));
        find(root, "mean").addEventListener("click", () => holdUnit(index, (number) => meanOf(index, number)));
        find(root, "release").addEventListener("click", () => {
            const { part } = context.runs[index];
            edit(index, (changed) => {
                for (const number of Models.numbersOfUnit(model, part, own().unit)) delete changed.units[number];
            });
        });
        find(root, "map").addEventListener("keydown", (event) => {
            const { order } = context.runs[index].order;
            const move = { ArrowUp: -1, ArrowDown: 1 }[event.key];
            if (move === undefined) return;
            event.preventDefault();
            const row = Math.max(0, Math.min(order.length - 1, order.indexOf(own().unit) + move));
            choose(index, order[row], view.step);
        });
    }

    function buildChange(root, index) {
        const model = models[index];
        fillSelect(
            find(root, "gate"),
            model.gates.map((name) => [name, Models.gateLabel(name)]),
        );
        if (!model.gates.length) find(root, "gates-field").hidden = true;
        find(root, "gates-title").textContent = Models.titleOf(model.gates);
        find(root, "gates-caption").textContent = Models.meaningOf(model.gates);
        find(root, "blocks-field").hidden = !model.blocks.length;
        const isDiagonal = model.live && !model.matrices.length;
        find(root, "blocks-title").textContent = isDiagonal ? "Recurrent diagonal" : "Recurrent matrix";
        find(root, "block-label").textContent = isDiagonal ? "Diagonal" : "Matrix";
        fillSelect(
            find(root, "block"),
            model.blocks.map((name) => [name, Models.blockLabel(name)]),
        );
        find(root, "cut-connection").addEventListener("click", () => {
            const [i, j] = ["to", "from"].map((name) => Number(find(root, name).value));
            const size = model.network(view.runs[index].moment).hiddenSize;
            const areUnits = [i, j].every((unit) => Number.isInteger(unit) && unit >= 0 && unit < size);
            if (areUnits) toggleConnection(index, i, j);
            else byId("message").textContent = `Units are numbered from 0 to ${size - 1}.`;
        });
        find(root, "rank").addEventListener("click", () => startRanking(index));
        find(root, "block").addEventListener("change", (event) => {
            view.runs[index].block = event.target.value;
            update();
        });
        find(root, "scale").addEventListener("input", (event) =>
            edit(index, (changed) => (changed.scale[view.runs[index].block] = Number(event.target.value))),
        );
        find(root, "noise").addEventListener("input", (event) =>
            edit(index, (changed) => (changed.noise.level = Number(event.target.value))),
        );
        find(root, "reset").addEventListener("click", () =>
            edit(index, (changed) => {
                if (!changed.reset.includes(view.step)) changed.reset.push(view.step);
            }),
        );
        find(root, "hold-gate").addEventListener("click", () => {
            const name = find(root, "gate").value;
            const isWhole = find(root, "gate-units").value === "all";
            const field = find(root, "gate-value");
            const { size } = Models.partOf(model, name);
            if (field.value === "") {
                byId("message").textContent = "A gate is held at a number.";
                return;
            }
            if (!isWhole && view.runs[index].unit >= size) {
                byId("message").textContent = `This gate has ${size} ${size === 1 ? "unit" : "units"}: choose one of them.`;
                return;
            }
            const value = Number(field.value);
            edit(index, (changed) => (changed.gates[isWhole ? name : `${name}/${view.runs[index].unit}`] = value));
        });
    }

    function onKey(event) {
        if (event.target.matches("input, select, textarea") || event.altKey || event.ctrlKey || event.metaKey) return;
        const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
        if (steps === undefined || !context) return;
        event.preventDefault();
        setStep(Number.isFinite(steps) ? view.step + steps : steps < 0 ? 0 : Infinity);
    }

    function start() {
        document.body.classList.toggle("one-run", data.runs.length === 1);
        Header.fill(data);
        byId("undo").hidden = models.every((model) => !model.live);
        if (!hasInput) {
            byId("lead").textContent += " There is no input to show: typing is off, and no sequences are stored.";
            for (const part of [byId("controls"), document.querySelector("main")]) part.hidden = true;
            return;
        }
        buildControls();
        buildPanels();
        document.addEventListener("keydown", onKey);
        window.addEventListener("hashchange", () => {
            view = viewOfUrl();
            update();
        });
        let resizing = null;
        window.addEventListener("resize", () => {
            clearTimeout(resizing);
            resizing = setTimeout(update, 150);
        });
        for (const media of ["(prefers-color-scheme: dark)", "print"]) {
            window.matchMedia(media).addEventListener("change", update);
        }
        update();
        context.runs.forEach((run, index) => {
            if (run.view.order === "cut" && run.model.live && sequences) startRanking(index);
        });
    }

    start();
})();
