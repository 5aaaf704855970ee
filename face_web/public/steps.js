/**
 * What the page shows of a challenge: the step in words, an arrow, the ring with how far it is, colours on the whole screen.
 * Owns these elements; which of the arrows is seen is the style sheet's. Knows no camera and no rule of what comes next.
 */

import { recall, remember } from './memory.js';

const NO_FLASH = 'no-flash';

export class Steps {
    #section;
    #t;
    #panel;
    #count = 0;
    #done = 0;
    #begun = false;

    constructor(section, t, panel) {
        this.#section = section;
        this.#t = t;
        this.#panel = panel;
        const choice = this.#choice;
        if (choice !== null) {
            choice.checked = recall(NO_FLASH) === '1';
            choice.addEventListener('change', () => remember(NO_FLASH, choice.checked ? '1' : ''));
        }
    }

    /** Whether colours may be shown: the page has the choice only where they may come at all. */
    get flashes() {
        const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
        return this.#choice !== null && !this.#choice.checked && !still;
    }

    /** An SVG has no property `hidden`. */
    begin(count) {
        this.#begun = true;
        this.#count = count;
        this.#done = 0;
        this.#part('ring').toggleAttribute('hidden', count === 0);
        this.far(0);
    }

    /** One step: seen at once, and heard at once. */
    ask(kind, number) {
        this.#section.dataset.asked = kind;
        this.#section.dataset.phase = 'asked';
        this.#panel.step(number, this.#count);
        this.#panel.advise(this.#t(`camera.liveness.step.${kind}`), true);
        this.hint(null);
        this.far(0);
    }

    /** How far the step is, 0 to 1. */
    far(share) {
        const whole = Math.round((100 * (this.#done + share)) / Math.max(1, this.#count));
        const ring = this.#part('ring');
        ring.style.setProperty('--far', whole);
        ring.setAttribute('aria-valuenow', String(whole));
        const number = Math.min(this.#count, this.#done + 1);
        ring.setAttribute('aria-valuetext', this.#t('camera.liveness.progress', { number, count: this.#count }));
    }

    /** What would help, or null; the words of the step stay. */
    hint(name) {
        this.#panel.hint(name === null ? '' : this.#t(`camera.liveness.hint.${name}`));
    }

    /** It is there: now the pictures. */
    hold() {
        this.far(1);
        this.#section.dataset.phase = 'held';
        this.#panel.hint(this.#t('camera.liveness.hold'));
    }

    done(number) {
        this.#done = number;
        this.far(0);
        this.#section.dataset.phase = 'done';
        this.#panel.hint(this.#t('camera.liveness.next'));
    }

    /** The whole screen in one colour; null: as before. */
    flash(colour) {
        const screen = this.#part('flash');
        screen.hidden = colour === null;
        screen.style.backgroundColor = colour ?? '';
    }

    end() {
        if (!this.#begun) {
            return;
        }
        this.#begun = false;
        this.flash(null);
        this.#panel.hint('');
        this.#panel.step(0, 0);
        this.#part('ring').toggleAttribute('hidden', true);
        delete this.#section.dataset.asked;
        delete this.#section.dataset.phase;
    }

    get #choice() {
        return this.#part('no-flash');
    }

    #part(name) {
        return this.#section.querySelector(`[data-${name}]`);
    }
}
