<?php

/**
 * @var string $text what is searched for
 * @var list<\FaceWeb\Page\Listed> $people
 * @var ?string $next
 * @var int $count
 * @var string $registration
 * @var ?string $invite a code just made
 * @var bool $fresh
 * @var \FaceWeb\People\Person $person
 * @var string $csrf
 * @var callable(string, array<string, string|int>=): string $t
 * @var callable(string, array<string, mixed>=): string $part
 */

declare(strict_types=1);

?>
<?= $part('admin/nav', ['here' => 'people']) ?>
<h1><?= e($t('admin_people.title')) ?></h1>
<?php if (!$fresh) : ?>
<div class="notice">
    <p><?= e($t('account.confirm')) ?></p>
    <p><a class="button" href="/confirm?next=admin"><?= e($t('account.confirm.link')) ?></a></p>
</div>
<?php endif; ?>
<?php if (is_string($invite)) : ?>
<div class="notice success" role="status">
    <p><?= e($t('admin_people.invite.code')) ?></p>
    <p><code><?= e($invite) ?></code></p>
</div>
<?php endif; ?>
<form class="search" method="get" action="/admin" role="search">
    <div class="field">
        <label for="q"><?= e($t('admin_people.search')) ?></label>
        <input id="q" name="q" type="search" value="<?= e($text) ?>" maxlength="100" autocomplete="off">
    </div>
    <button><?= e($t('admin_people.search.submit')) ?></button>
</form>
<p class="muted"><?= e($t('admin_people.count', ['count' => $count])) ?></p>
<?php if ($people === []) : ?>
<p><?= e($t('admin_people.none')) ?></p>
<?php else : ?>
<div class="table-scroll" tabindex="0" role="region" aria-label="<?= e($t('admin_people.title')) ?>">
    <table>
        <thead>
            <tr>
                <th scope="col"><?= e($t('admin_people.name')) ?></th>
                <th scope="col"><?= e($t('admin_people.email')) ?></th>
                <th scope="col"><?= e($t('admin_people.state')) ?></th>
                <th scope="col"><?= e($t('admin_people.face')) ?></th>
                <th scope="col"><?= e($t('admin_people.since')) ?></th>
                <th scope="col"><?= e($t('admin_people.actions')) ?></th>
            </tr>
        </thead>
        <tbody>
    <?php foreach ($people as $listed) : ?>
            <tr>
                <th scope="row"><?= e($listed->person->name) ?></th>
                <td><?= e($listed->person->email) ?></td>
                <td>
                    <span class="badge"><?= e($t('status.' . $listed->person->status->value)) ?></span>
        <?php if ($listed->person->isAdmin()) : ?>
                    <span class="badge"><?= e($t('admin_people.role.admin')) ?></span>
        <?php endif; ?>
                </td>
                <td><span class="badge"><?= e($t('face.' . $listed->faceState())) ?></span></td>
                <td><?= $part('time', ['at' => $listed->person->createdAt]) ?></td>
                <td>
        <?php if ($listed->person->id === $person->id) : ?>
                    <span class="muted"><?= e($t('admin_people.you')) ?></span>
        <?php elseif ($fresh) : ?>
                    <details>
                        <summary aria-label="<?= e($t('admin_people.change', ['name' => $listed->person->name])) ?>"><?=
                            e($t('admin_people.change.short')) ?></summary>
                        <div class="actions">
            <?php foreach ($listed->actions() as $action => $isDanger) : ?>
                            <form method="post" action="/admin/people/<?= e($listed->person->id) ?>/<?= e($action) ?>">
                                <input type="hidden" name="_csrf" value="<?= e($csrf) ?>">
                                <button class="<?= e($isDanger ? 'danger' : '') ?>"><?=
                                    e($t('admin_people.' . strtr($action, '-', '_'))) ?></button>
                            </form>
            <?php endforeach; ?>
                        </div>
                    </details>
        <?php endif; ?>
                </td>
            </tr>
    <?php endforeach; ?>
        </tbody>
    </table>
</div>
<?php endif; ?>
<?php if ($next !== null) : ?>
<p class="pager"><a class="button" href="/admin?<?= e(http_build_query(['q' => $text, 'after' => $next])) ?>"><?=
    e($t('admin_people.more')) ?></a></p>
<?php endif; ?>
<?php if ($registration === 'invite') : ?>
<section class="card" aria-labelledby="invite">
    <h2 id="invite"><?= e($t('admin_people.invite')) ?></h2>
    <p><?= e($t('admin_people.invite.text')) ?></p>
    <form method="post" action="/admin/invites">
        <input type="hidden" name="_csrf" value="<?= e($csrf) ?>">
        <p class="actions"><button><?= e($t('admin_people.invite.submit')) ?></button></p>
    </form>
</section>
<?php endif; ?>
