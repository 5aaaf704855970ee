<?php

/**
 * @var bool $invited
 * @var string $invite
 * @var int $frames
 * @var bool $upload
 * @var string $csrf
 * @var callable(string, array<string, string|int>=): string $t
 * @var callable(string, array<string, mixed>=): string $part
 */

declare(strict_types=1);

?>
<h1><?= e($t('register.title')) ?></h1>
<p class="lead"><?= e($t('register.lead')) ?></p>
<div class="columns even">
    <section class="card" aria-labelledby="you">
        <h2 id="you"><?= e($t('register.you')) ?></h2>
        <form id="applicant" method="post" action="/register">
            <input type="hidden" name="_csrf" value="<?= e($csrf) ?>">
<?php if ($invited) : ?>
            <?= $part('field', [
                'id' => 'invite',
                'name' => 'invite',
                'label' => $t('field.invite'),
                'hint' => $t('register.invite.hint'),
                'value' => $invite,
            ]) ?>
<?php endif; ?>
            <?= $part('field', [
                'id' => 'name',
                'name' => 'name',
                'label' => $t('field.name'),
                'autocomplete' => 'name',
                'more' => ['maxlength' => '100'],
            ]) ?>
            <?= $part('field', [
                'id' => 'email',
                'name' => 'email',
                'type' => 'email',
                'label' => $t('field.email'),
                'autocomplete' => 'username',
                'more' => ['maxlength' => '254'],
            ]) ?>
            <?= $part('field', [
                'id' => 'password',
                'name' => 'password',
                'type' => 'password',
                'label' => $t('field.password'),
                'hint' => $t('field.password.hint'),
                'autocomplete' => 'new-password',
                'more' => ['minlength' => '10', 'maxlength' => '128'],
            ]) ?>
            <?= $part('consent') ?>
        </form>
    </section>
    <section class="card" aria-labelledby="face">
        <h2 id="face"><?= e($t('register.camera')) ?></h2>
        <?= $part('camera', [
            'purpose' => 'register',
            'action' => '/register',
            'frames' => $frames,
            'form' => '#applicant',
            'upload' => $upload,
            'poses' => ['straight', 'left', 'right'],
            'links' => ['/login' => $t('nav.login')],
        ]) ?>
    </section>
</div>
