<?php

/**
 * @var string $csrf
 * @var callable(string, array<string, string|int>=): string $t
 * @var callable(string, array<string, mixed>=): string $part
 */

declare(strict_types=1);

?>
<section class="card">
    <h1><?= e($t('login_second.title')) ?></h1>
    <p><?= e($t('login_second.text')) ?></p>
    <form method="post" action="/login/second">
        <input type="hidden" name="_csrf" value="<?= e($csrf) ?>">
        <?= $part('field', [
            'id' => 'password',
            'name' => 'password',
            'type' => 'password',
            'label' => $t('field.password'),
            'autocomplete' => 'current-password',
        ]) ?>
        <p class="actions">
            <button class="primary"><?= e($t('login_second.submit')) ?></button>
            <a class="button" href="/login"><?= e($t('login_second.back')) ?></a>
        </p>
    </form>
</section>
