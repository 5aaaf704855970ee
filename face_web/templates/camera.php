<?php

/**
 * The camera's part of a page; public/camera.js makes it live. Owns its markup and the data attributes that camera.js
 * reads; knows no person, no session and no rule of who may do what.
 *
 * @var string $purpose login, register, captures or confirm
 * @var string $action where the frames are posted
 * @var int $frames frames of one burst, one burst for each pose
 * @var string $csrf
 * @var ?string $form selector of the form whose fields go along
 * @var bool $upload whether a photograph may be chosen instead
 * @var list<string> $poses straight, left, right; none: one burst that is sent by itself
 * @var array<string, string> $links href to text: the ways on after a refusal or a camera problem
 * @var callable(string, array<string, string|int>=): string $t
 */

declare(strict_types=1);

?>
<section class="camera" data-camera data-state="idle" data-green="false" aria-label="<?= e($t('camera.label')) ?>"
    data-purpose="<?= e($purpose) ?>" data-action="<?= e($action) ?>" data-frames="<?= e((string) $frames) ?>"
    data-poses="<?= e(implode(',', $poses ?? [])) ?>" data-csrf="<?= e($csrf) ?>" data-form="<?= e($form ?? '') ?>"
    data-upload="<?= ($upload ?? false) ? '1' : '0' ?>" data-detector="/vendor/face-api/">
    <noscript><p class="notice warning"><?= e($t('camera.noscript')) ?></p></noscript>
    <div data-live hidden>
        <div class="stage" data-stage>
            <video playsinline muted aria-hidden="true"></video>
            <svg class="oval" viewBox="0 0 100 100" aria-hidden="true" focusable="false">
                <path class="shade" fill-rule="evenodd"
                    d="M-300-300H400V400H-300ZM50 9C69 9 80 27 80 49C80 73 67 91 50 91C33 91 20 73 20 49C20 27 31 9 50 9Z"/>
                <path class="rim" d="M50 9C69 9 80 27 80 49C80 73 67 91 50 91C33 91 20 73 20 49C20 27 31 9 50 9Z"/>
            </svg>
            <p class="step" data-step hidden></p>
            <p class="advice" data-advice aria-hidden="true"></p>
        </div>
        <p class="visually-hidden" role="status" aria-live="polite" data-spoken></p>
        <div class="result notice" data-result tabindex="-1" hidden>
            <p data-message></p>
<?php if (($links ?? []) !== []) : ?>
            <ul class="ways" data-ways>
    <?php foreach ($links as $href => $text) : ?>
                <li><a href="<?= e((string) $href) ?>"><?= e($text) ?></a></li>
    <?php endforeach; ?>
            </ul>
<?php endif; ?>
        </div>
        <ol class="frames" data-frames hidden aria-label="<?= e($t('camera.frames')) ?>"></ol>
        <div class="actions">
            <button type="button" class="primary" data-capture><?= e($t('camera.start')) ?></button>
            <button type="button" data-again hidden><?= e($t('camera.retake')) ?></button>
        </div>
        <p class="hint instructions"><?= e($t('camera.instructions')) ?></p>
        <div class="field" data-choice hidden>
            <label for="camera-device"><?= e($t('camera.device')) ?></label>
            <select id="camera-device" data-devices></select>
        </div>
<?php if ($upload ?? false) : ?>
        <div class="field">
            <label for="camera-photos"><?= e($t('camera.upload')) ?></label>
            <p class="hint" id="camera-photos-hint"><?= e($t('camera.upload_hint', ['max' => 10])) ?></p>
            <input type="file" id="camera-photos" data-photos multiple accept="image/jpeg,image/png,image/webp"
                aria-describedby="camera-photos-hint">
        </div>
<?php endif; ?>
        <p class="hint"><?= e($t('camera.privacy')) ?></p>
    </div>
</section>
