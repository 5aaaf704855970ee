/** The sentences of the page's language, from its <script type="application/json" id="texts">. Knows no sentence itself. */

/** @returns {(key: string, values?: Object<string, string|number>) => string} a text; the key itself where there is none */
export function textsOf(json) {
    let texts = {};
    try {
        texts = JSON.parse(json) ?? {};
    } catch {
        // A page without texts still takes pictures; it shows the keys.
    }
    return (key, values = {}) => {
        const text = typeof texts[key] === 'string' ? texts[key] : key;
        return text.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? String(values[name]) : whole));
    };
}
