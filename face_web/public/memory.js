/** What this browser keeps for the next visit. One that keeps nothing is no reason to fail. */

const PREFIX = 'face-login.';

/** @returns {string} empty where nothing is kept */
export function recall(name) {
    try {
        return localStorage.getItem(PREFIX + name) ?? '';
    } catch {
        return '';
    }
}

export function remember(name, value) {
    try {
        localStorage.setItem(PREFIX + name, value);
    } catch {
        // as said
    }
}
