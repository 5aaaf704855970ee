<?php

/**
 * The frame of every page.
 *
 * @var string $language
 * @var string $title
 * @var string $content HTML of the page's template
 * @var bool $camera whether the page has a camera
 * @var string $width narrow, or nothing
 * @var ?string $notice a sentence to be shown once
 * @var string $site
 * @var bool $registers whether the site takes new accounts
 * @var string $csrf
 * @var ?\FaceWeb\People\Person $person
 * @var callable(string, array<string, string|int>=): string $t
 * @var callable(string): array<string, string> $group
 */

declare(strict_types=1);

?>
<!DOCTYPE html>
<html lang="<?= e($language) ?>">
<head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <meta name="robots" content="noindex">
    <title><?= e($title) ?> · <?= e($site) ?></title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="/style.css">
<?php if ($camera) : ?>
    <script type="application/json" id="texts"><?= \FaceWeb\View::json($group('camera.')) ?></script>
    <script type="module" src="/camera.js"></script>
<?php endif; ?>
</head>
<body>
<a class="skip-link" href="#main"><?= e($t('skip')) ?></a>
<header class="site-header">
    <a class="site-name" href="/"><?= e($site) ?></a>
    <nav class="site-nav" aria-label="<?= e($t('nav.label')) ?>">
        <ul>
<?php if ($person === null) : ?>
            <li><a href="/login"><?= e($t('nav.login')) ?></a></li>
    <?php if ($registers) : ?>
            <li><a href="/register"><?= e($t('nav.register')) ?></a></li>
    <?php endif; ?>
<?php else : ?>
            <li><a href="/account"><?= e($t('nav.account')) ?></a></li>
    <?php if ($person->isAdmin()) : ?>
            <li><a href="/admin"><?= e($t('nav.admin')) ?></a></li>
    <?php endif; ?>
            <li>
                <form method="post" action="/logout">
                    <input type="hidden" name="_csrf" value="<?= e($csrf) ?>">
                    <button class="link-button"><?= e($t('nav.logout')) ?></button>
                </form>
            </li>
<?php endif; ?>
        </ul>
    </nav>
</header>
<main id="main" tabindex="-1" class="<?= e($width) ?>">
<?php if ($notice !== null) : ?>
    <p class="notice" role="status"><?= e($notice) ?></p>
<?php endif; ?>
<?= $content ?>
</main>
<footer class="site-footer">
    <p><?= e($t('footer')) ?></p>
</footer>
</body>
</html>
