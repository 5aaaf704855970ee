<?php

/**
 * @var bool $fresh whether the password was given within the last minutes
 * @var list<\FaceWeb\People\Capture> $captures
 * @var string $faceState key below account.face
 * @var list<array{at: int, what: string, source: string}> $events
 * @var array<string, string> $errors
 * @var string $email
 * @var \FaceWeb\People\Person $person
 * @var string $csrf
 * @var callable(string, array<string, string|int>=): string $t
 * @var callable(string, array<string, mixed>=): string $part
 */

declare(strict_types=1);

?>
<?= $part('errors', ['errors' => $errors]) ?>
<h1><?= e($t('account.hello', ['name' => $person->name])) ?></h1>
<?php if (!$fresh) : ?>
<div class="notice">
    <p><?= e($t('account.confirm')) ?></p>
    <p><a class="button" href="/confirm"><?= e($t('account.confirm.link')) ?></a></p>
</div>
<?php endif; ?>
<div class="columns">
    <section class="card" aria-labelledby="profile">
        <h2 id="profile"><?= e($t('account.profile')) ?></h2>
        <dl class="facts">
            <dt><?= e($t('account.name')) ?></dt><dd><?= e($person->name) ?></dd>
            <dt><?= e($t('account.email')) ?></dt><dd><?= e($person->email) ?></dd>
            <dt><?= e($t('account.since')) ?></dt><dd><?= $part('time', ['at' => $person->createdAt]) ?></dd>
            <dt><?= e($t('account.consent')) ?></dt>
<?php if ($person->consentAt === null) : ?>
            <dd><?= e($t('account.consent.none')) ?></dd>
<?php else : ?>
            <dd><?= $part('time', ['at' => $person->consentAt]) ?></dd>
<?php endif; ?>
        </dl>
    </section>
    <section class="card" aria-labelledby="face">
        <h2 id="face"><?= e($t('account.face')) ?></h2>
        <p><?= e($t("account.face.$faceState")) ?></p>
<?php if ($captures !== []) : ?>
        <details>
            <summary><?= e($t('account.captures', ['count' => count($captures)])) ?></summary>
            <ol class="captures">
    <?php foreach ($captures as $place => $capture) : ?>
                <li>
                    <span><?= e($t('account.capture', ['number' => $place + 1])) ?></span>
                    <?= $part('time', ['at' => $capture->createdAt]) ?>
                </li>
    <?php endforeach; ?>
            </ol>
        </details>
<?php endif; ?>
<?php if ($fresh) : ?>
        <p class="actions"><a class="button" href="/account/captures"><?=
            e($t($person->face === null ? 'account.face.add' : 'account.captures.add')) ?></a></p>
<?php endif; ?>
<?php if ($fresh && $person->face !== null) : ?>
        <details>
            <summary><?= e($t('account.face.remove')) ?></summary>
            <p><?= e($t('account.face.remove.text')) ?></p>
            <form method="post" action="/account/face/remove">
                <input type="hidden" name="_csrf" value="<?= e($csrf) ?>">
                <p class="actions"><button class="danger"><?= e($t('account.face.remove')) ?></button></p>
            </form>
        </details>
<?php endif; ?>
    </section>
</div>
<?php if ($fresh) : ?>
<div class="columns even">
    <section class="card" aria-labelledby="change-password">
        <h2 id="change-password"><?= e($t('account.password')) ?></h2>
        <form method="post" action="/account/password">
            <input type="hidden" name="_csrf" value="<?= e($csrf) ?>">
            <input class="visually-hidden" type="text" name="username" value="<?= e($person->email) ?>"
                autocomplete="username" tabindex="-1" aria-hidden="true" readonly>
            <?= $part('field', [
                'id' => 'password',
                'name' => 'password',
                'type' => 'password',
                'label' => $t('account.password.new'),
                'hint' => $t('field.password.hint'),
                'error' => $errors['password'] ?? '',
                'autocomplete' => 'new-password',
            ]) ?>
            <?= $part('field', [
                'id' => 'repeat',
                'name' => 'repeat',
                'type' => 'password',
                'label' => $t('account.password.repeat'),
                'autocomplete' => 'new-password',
            ]) ?>
            <p class="actions"><button><?= e($t('account.password.submit')) ?></button></p>
        </form>
    </section>
    <section class="card" aria-labelledby="change-email">
        <h2 id="change-email"><?= e($t('account.email.change')) ?></h2>
        <form method="post" action="/account/email">
            <input type="hidden" name="_csrf" value="<?= e($csrf) ?>">
            <?= $part('field', [
                'id' => 'email',
                'name' => 'email',
                'type' => 'email',
                'label' => $t('account.email.new'),
                'value' => $email,
                'error' => $errors['email'] ?? '',
                'autocomplete' => 'email',
            ]) ?>
            <p class="actions"><button><?= e($t('account.email.submit')) ?></button></p>
        </form>
    </section>
</div>
<section class="card danger" aria-labelledby="delete">
    <h2 id="delete"><?= e($t('account.delete')) ?></h2>
    <p><?= e($t('account.delete.text')) ?></p>
    <form method="post" action="/account/delete">
        <input type="hidden" name="_csrf" value="<?= e($csrf) ?>">
        <div class="field checkbox<?= e(isset($errors['sure']) ? ' has-error' : '') ?>">
            <input id="sure" name="sure" type="checkbox" value="1" required aria-describedby="sure-error">
            <label for="sure"><?= e($t('account.delete.sure')) ?></label>
            <p class="field-error" id="sure-error"><?= e($errors['sure'] ?? '') ?></p>
        </div>
        <p class="actions"><button class="danger"><?= e($t('account.delete.submit')) ?></button></p>
    </form>
</section>
<?php endif; ?>
<section class="card" aria-labelledby="events">
    <h2 id="events"><?= e($t('account.events')) ?></h2>
    <div class="table-scroll" tabindex="0" role="region" aria-labelledby="events">
        <table>
            <thead>
                <tr>
                    <th scope="col"><?= e($t('account.when')) ?></th>
                    <th scope="col"><?= e($t('account.event')) ?></th>
                    <th scope="col"><?= e($t('account.source')) ?></th>
                </tr>
            </thead>
            <tbody>
<?php foreach ($events as $event) : ?>
                <tr>
                    <td><?= $part('time', ['at' => $event['at']]) ?></td>
                    <td><?= e($event['what']) ?></td>
                    <td><?= e($event['source']) ?></td>
                </tr>
<?php endforeach; ?>
            </tbody>
        </table>
    </div>
</section>
