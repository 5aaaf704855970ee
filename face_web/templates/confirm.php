<?php

/**
 * @var string $next account or admin
 * @var ?string $error
 * @var \FaceWeb\People\Person $person
 * @var string $csrf
 * @var callable(string, array<string, string|int>=): string $t
 * @var callable(string, array<string, mixed>=): string $part
 */

declare(strict_types=1);

?>
<?= $part('errors', ['errors' => $error === null ? [] : ['password' => $error]]) ?>
<section class="card">
    <h1><?= e($t('confirm.title')) ?></h1>
    <p><?= e($t('confirm.text')) ?></p>
    <form method="post" action="/confirm">
        <input type="hidden" name="_csrf" value="<?= e($csrf) ?>">
        <input type="hidden" name="next" value="<?= e($next) ?>">
        <input class="visually-hidden" type="text" name="username" value="<?= e($person->email) ?>" autocomplete="username"
            tabindex="-1" aria-hidden="true" readonly>
        <?= $part('field', [
            'id' => 'password',
            'name' => 'password',
            'type' => 'password',
            'label' => $t('field.password'),
            'error' => $error ?? '',
            'autocomplete' => 'current-password',
        ]) ?>
        <p class="actions"><button class="primary"><?= e($t('confirm.submit')) ?></button></p>
    </form>
</section>
