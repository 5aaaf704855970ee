/** What the site answered to a capture, whatever came: one of a few kinds. Pure; knows no page and no network. */

const KINDS = ['refused', 'quality', 'wait', 'form', 'nonce', 'not_live', 'unavailable'];

const KNOWN_STEPS = ['turn_left', 'turn_right', 'look_up', 'look_down', 'come_closer', 'flash'];

/** What a status means where the answer says nothing more. */
const STATUSES = { 401: 'expired', 403: 'expired', 413: 'too_large', 419: 'expired' };

/** Longest wait that is shown; the site's own lock is 15 minutes. */
const LONGEST_WAIT_S = 3600;

/**
 * @param {number} status of HTTP
 * @param {unknown} body the JSON, or null where it was none
 * @param {string} base the page's address, to which a location is relative
 * @returns {{kind: string, message: string, location: string, frames: Array<string|null>, retryAfterS: number, fields: Object<string, string>}}
 */
export function readAnswer(status, body, base) {
    const said = typeof body === 'object' && body !== null ? body : {};
    const answer = {
        kind: kindOf(status, said),
        message: text(said.message),
        location: '',
        frames: Array.isArray(said.frames) ? said.frames.map((code) => text(code) || null) : [],
        retryAfterS: 0,
        fields: {},
    };
    if (answer.kind === 'ok') {
        answer.location = addressOf(said.location, base);
    }
    if (answer.kind === 'wait') {
        answer.retryAfterS = Math.min(LONGEST_WAIT_S, Math.max(1, Math.ceil(Number(said.retry_after_s) || 1)));
    }
    if (answer.kind === 'form' && typeof said.fields === 'object' && said.fields !== null) {
        answer.fields = Object.fromEntries(Object.entries(said.fields).map(([name, problem]) => [name, text(problem)]));
    }
    return answer;
}

/**
 * What a living person is to do, from the answer to a capture's beginning.
 * @returns {{id: string, steps: Array<{kind: string, colour: string|null}>, framesPerStep: number, stepMs: number,
 *     expiresMs: number}|null} null where nothing is asked, and where this page does not know how to
 */
export function readChallenge(said) {
    if (typeof said !== 'object' || said === null || text(said.id) === '' || !Array.isArray(said.steps)) {
        return null;
    }
    const steps = said.steps.map((step) => ({ kind: text(step?.step), colour: colourOf(step) }));
    const number = (value, least, most) => Math.min(most, Math.max(least, Number(value) || least));
    return steps.every(({ kind, colour }) => KNOWN_STEPS.includes(kind) && (colour !== null) === (kind === 'flash'))
        ? {
            id: said.id,
            steps,
            framesPerStep: number(said.frames_per_step, 1, 10),
            stepMs: 1000 * number(said.step_s, 1, 300),
            expiresMs: 1000 * number(said.expires_s, 1, 300),
        }
        : null;
}

function colourOf(step) {
    return /^#[0-9a-f]{6}$/i.test(text(step?.colour)) ? step.colour : null;
}

function kindOf(status, said) {
    if (said.ok === true && status >= 200 && status < 300) {
        return 'ok';
    }
    return KINDS.includes(said.code) ? said.code : STATUSES[status] ?? 'unavailable';
}

function text(value) {
    return typeof value === 'string' ? value : '';
}

/** Only an address of the web; the site's answer leads to the account or back to the site that asked. */
function addressOf(location, base) {
    const address = new URL(text(location) || '/', base);
    return ['http:', 'https:'].includes(address.protocol) ? address.href : new URL('/', base).href;
}
