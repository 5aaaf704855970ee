/** Waiting that can be broken off. */

/** @returns {Promise<void>} rejects with the signal's reason when it is aborted before or meanwhile */
export function pause(ms, signal) {
    return new Promise((resolve, reject) => {
        signal.throwIfAborted();
        const broken = () => {
            clearTimeout(timer);
            reject(signal.reason);
        };
        const timer = setTimeout(() => {
            signal.removeEventListener('abort', broken);
            resolve();
        }, Math.max(0, ms));
        signal.addEventListener('abort', broken, { once: true });
    });
}
