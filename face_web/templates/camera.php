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
 * @var bool $steps whether movements may be asked for
 * @var bool $flash whether the screen may have to change its colour
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
                <path class="way turn" d="M79 50H101M91 40L101 50L91 60"/>
                <path class="way closer" d="M21 22L11 12M11 21V12H20M79 22L89 12M80 12H89V21M21 70L11 80M11 71V80H20M79 70L89 80M89 71V80H80"/>
                <path class="tick" d="M39 52L47 60L62 43"/>
            </svg>
            <svg class="oval ring" viewBox="0 0 100 100" focusable="false" data-ring hidden role="progressbar"
                aria-label="<?= e($t('camera.liveness.ring')) ?>" aria-valuemin="0" aria-valuemax="100" aria-valuenow="0">
                <path pathLength="100" d="M50 9C69 9 80 27 80 49C80 73 67 91 50 91C33 91 20 73 20 49C20 27 31 9 50 9Z"/>
            </svg>
            <p class="step" data-step hidden></p>
            <p class="advice" data-advice aria-hidden="true"><span data-words></span><span data-hint></span></p>
        </div>
        <div class="flash" data-flash hidden></div>
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
<?php if ($steps ?? false) : ?>
        <p class="hint instructions"><?= e($t('camera.instructions.steps')) ?></p>
<?php endif; ?>
<?php if ($flash ?? false) : ?>
        <p class="field checkbox">
            <input type="checkbox" id="camera-no-flash" data-no-flash>
            <label for="camera-no-flash"><?= e($t('camera.liveness.no_flash')) ?></label>
        </p>
<?php endif; ?>
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
