/**
 * The form whose fields go along with the pictures, if the page has one: whether it is filled, what it says, and what is
 * wrong beside each field. Knows no camera and no server.
 */

export class Form {
    #form;

    /** @param {HTMLFormElement|null} form */
    constructor(form) {
        this.#form = form;
    }

    /** Calls `sent` instead of sending the form, and `agreed` when the consent in it changes. */
    listen(sent, agreed) {
        this.#form?.addEventListener('submit', (event) => {
            event.preventDefault();
            sent();
        });
        this.#consent?.addEventListener('change', agreed);
    }

    get #consent() {
        const control = this.#form?.elements.namedItem('consent');
        return control instanceof HTMLInputElement && control.type === 'checkbox' ? control : null;
    }

    /** Whether nothing stands against looking at a face. */
    get agreed() {
        return this.#consent?.checked ?? true;
    }

    askForConsent() {
        this.#consent?.focus();
    }

    get filled() {
        return this.#form === null || this.#form.matches(':valid');
    }

    /** The same, and the browser says what is missing. */
    complete() {
        return this.#form?.reportValidity() ?? true;
    }

    /** The form's own fields; its CSRF token goes as a header. */
    values() {
        const fields = this.#form === null ? new FormData() : new FormData(this.#form);
        fields.delete('_csrf');
        return fields;
    }

    /** Writes each problem beside its field and goes to the first. */
    mark(problems) {
        this.unmark();
        const wrong = Object.entries(problems)
            .map(([name, problem]) => [this.#form?.elements.namedItem(name), problem])
            .filter(([control]) => control);
        wrong.forEach(([control, problem]) => markField(control, problem));
        wrong[0]?.[0].focus();
    }

    unmark() {
        this.#form?.querySelectorAll('[aria-invalid]').forEach((control) => {
            control.removeAttribute('aria-invalid');
            control.closest('.field')?.classList.remove('has-error');
        });
        this.#form?.querySelectorAll('.field-error').forEach((line) => { line.textContent = ''; });
    }
}

function markField(control, problem) {
    const id = `${control.id || control.name}-error`;
    let line = document.getElementById(id);
    if (line === null) {
        line = document.createElement('p');
        line.id = id;
        line.className = 'field-error';
        (control.closest('.field') ?? control.parentElement).append(line);
    }
    line.textContent = problem;
    control.setAttribute('aria-invalid', 'true');
    control.closest('.field')?.classList.add('has-error');
    const described = new Set((control.getAttribute('aria-describedby') ?? '').split(' ').filter(Boolean));
    control.setAttribute('aria-describedby', [...described.add(id)].join(' '));
}
