<?php

/**
 * @var string $mode face, email_face or face_then_password
 * @var int $frames
 * @var bool $steps whether movements may be asked for
 * @var bool $flash whether the screen may have to change its colour
 * @var bool $registers
 * @var string $email
 * @var ?string $error
 * @var ?\FaceWeb\Exchange\PendingRequest $waiting
 * @var string $csrf
 * @var callable(string, array<string, string|int>=): string $t
 * @var callable(string, array<string, mixed>=): string $part
 */

declare(strict_types=1);

?>
<h1><?= e($t('login.title')) ?></h1>
<?php if ($waiting !== null) : ?>
<div class="notice">
    <p><?= e($t('login.waiting', ['name' => $waiting->name, 'host' => $waiting->host])) ?>
        <a href="/login?client="><?= e($t('login.waiting.cancel')) ?></a></p>
</div>
<?php endif; ?>
<?= $part('errors', ['errors' => $error === null ? [] : ['password' => $error]]) ?>
<div class="columns">
    <section class="card" aria-labelledby="by-face">
        <h2 id="by-face"><?= e($t('login.face')) ?></h2>
<?php if ($mode !== 'face') : ?>
        <form id="claim" method="post" action="/login/face">
            <?= $part('field', [
                'id' => 'claim-email',
                'name' => 'email',
                'type' => 'email',
                'label' => $t('field.email'),
                'hint' => $t('login.email_first'),
                'value' => $email,
                'autocomplete' => 'username',
            ]) ?>
        </form>
<?php endif; ?>
        <?= $part('camera', [
            'purpose' => 'login',
            'action' => '/login/face',
            'frames' => $frames,
            'form' => $mode === 'face' ? '' : '#claim',
            'upload' => false,
            'poses' => [],
            'steps' => $steps,
            'flash' => $flash,
            'links' => ['#password' => $t('login.by_password')]
                + (!$registers ? [] : ['/register' => $t('login.register_instead')]),
        ]) ?>
    </section>
    <section class="card" aria-labelledby="by-password">
        <h2 id="by-password"><?= e($t('login.password')) ?></h2>
        <p class="hint"><?= e($t($mode === 'face_then_password' ? 'login.password.hint_second' : 'login.password.hint')) ?></p>
        <form method="post" action="/login/password">
            <input type="hidden" name="_csrf" value="<?= e($csrf) ?>">
            <?= $part('field', [
                'id' => 'email',
                'name' => 'email',
                'type' => 'email',
                'label' => $t('field.email'),
                'value' => $email,
                'autocomplete' => 'username',
            ]) ?>
            <?= $part('field', [
                'id' => 'password',
                'name' => 'password',
                'type' => 'password',
                'label' => $t('field.password'),
                'error' => $error ?? '',
                'autocomplete' => 'current-password',
            ]) ?>
            <p class="actions"><button class="primary"><?= e($t('login.submit')) ?></button></p>
        </form>
<?php if ($registers) : ?>
        <p><a href="/register"><?= e($t('login.no_account')) ?></a></p>
<?php endif; ?>
    </section>
</div>
