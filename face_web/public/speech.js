/** What a screen reader hears: at most one sentence in two seconds, never one twice in a row. Knows one element of the page. */

const GAP_MS = 2000;

export class Speech {
    #element;
    #now;
    #later;
    #said = '';
    #at = -Infinity;
    #waiting = null;
    #timer = null;

    /** @param {{textContent: string}} element a live region */
    constructor(element, now = () => performance.now(), later = (what, ms) => setTimeout(what, ms)) {
        this.#element = element;
        this.#now = now;
        this.#later = later;
    }

    /** Says it now, or when the gap is over unless something newer came meanwhile. atOnce: somebody waits for it. */
    say(sentence, atOnce = false) {
        this.#waiting = sentence;
        if (atOnce) {
            this.#said = '';
            this.#at = -Infinity;
        }
        const rest = this.#at + GAP_MS - this.#now();
        if (rest <= 0) {
            this.#speak();
        } else {
            this.#timer ??= this.#later(() => this.#speak(), rest);
        }
    }

    /** Says nothing more of what waits; what was said may be said again. */
    hush() {
        this.#waiting = null;
        this.#said = '';
        this.#element.textContent = '';
    }

    #speak() {
        this.#timer = null;
        if (this.#waiting === null || this.#waiting === this.#said) {
            return;
        }
        this.#said = this.#waiting;
        this.#at = this.#now();
        this.#element.textContent = this.#said;
    }
}
