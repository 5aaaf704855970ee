<?php

/**
 * @var string $here people, audit or status
 * @var callable(string, array<string, string|int>=): string $t
 */

declare(strict_types=1);

?>
<nav class="site-nav" aria-label="<?= e($t('admin.nav')) ?>">
    <ul>
<?php foreach (['people' => '/admin', 'audit' => '/admin/audit', 'status' => '/admin/status'] as $name => $address) : ?>
        <li><a href="<?= e($address) ?>" aria-current="<?= e($name === $here ? 'page' : 'false') ?>"><?=
            e($t("admin.nav.$name")) ?></a></li>
<?php endforeach; ?>
    </ul>
</nav>
