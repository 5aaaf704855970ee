<?php

/**
 * What a face is enrolled for, and the box. RegisterPage::CONSENT_VERSION names the wording.
 *
 * @var callable(string, array<string, string|int>=): string $t
 */

declare(strict_types=1);

?>
<fieldset>
    <legend><?= e($t('register.consent.heading')) ?></legend>
    <p id="consent-text"><?= e($t('register.consent.text')) ?></p>
    <div class="field checkbox">
        <input id="consent" name="consent" type="checkbox" value="1" required aria-describedby="consent-text consent-error">
        <label for="consent"><?= e($t('register.consent')) ?></label>
        <p class="field-error" id="consent-error"></p>
    </div>
</fieldset>
