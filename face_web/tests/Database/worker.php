<?php

/** One of several processes that do the same at the same time: waits for "go", works, prints its result as JSON. */

declare(strict_types=1);

use FaceWeb\Audit\AuditLog;
use FaceWeb\Database;
use FaceWeb\People\EmailTaken;
use FaceWeb\People\Invites;
use FaceWeb\People\People;
use FaceWeb\Security\Attempt;
use FaceWeb\Security\Nonces;
use FaceWeb\Security\SeenFrames;
use FaceWeb\Security\Throttle;
use FaceWeb\Tests\FixedClock;

require __DIR__ . '/../../src/autoload.php';
require __DIR__ . '/../FixedClock.php';

$task = json_decode($argv[1], true, 32, JSON_THROW_ON_ERROR);
$database = $task['engine'] === 'mariadb'
    ? Database::mysql('127.0.0.1', 3306, $task['place'], 'root', '')
    : Database::sqlite($task['place']);
$clock = new FixedClock($task['now']);

echo "ready\n";
fgets(STDIN);

$result = match ($task['do']) {
    'migrate' => $database->migrate(),
    'begin' => (function () use ($database, $clock, $task): int {
        $throttle = new Throttle($database, $clock);
        $allowed = 0;
        for ($attempt = 0; $attempt < $task['times']; $attempt++) {
            $source = $task['sources'] === 'own' ? "10.0.0.{$task['number']}" : '10.0.0.1';
            $what = $task['kind'] === 'face'
                ? Attempt::face($source, $task['account'])
                : Attempt::password($source, 'ann@example.org');
            $allowed += $throttle->begin($what)->allowed ? 1 : 0;
        }
        return $allowed;
    })(),
    'refund' => (function () use ($database, $clock, $task): int {
        $throttle = new Throttle($database, $clock);
        $allowed = 0;
        for ($round = 0; $round < $task['times']; $round++) {
            $attempt = Attempt::face("10.0.0.{$task['number']}", 7);
            $verdict = $throttle->begin($attempt);
            $allowed += $verdict->allowed ? 1 : 0;
            $throttle->refunded($attempt);
        }
        return $allowed;
    })(),
    'detect' => (function () use ($database, $clock, $task): int {
        $throttle = new Throttle($database, $clock);
        $allowed = 0;
        for ($round = 0; $round < $task['times']; $round++) {
            $allowed += $throttle->allowDetect("session {$task['number']}", "10.0.0.{$task['number']}") ? 1 : 0;
        }
        return $allowed;
    })(),
    'consume' => (new Nonces($database, $clock))->consume($task['nonce'], $task['session'], 'login'),
    'claim' => (new SeenFrames($database, $clock))->claim(
        $task['number'] % 2 === 0 ? $task['frames'] : array_reverse($task['frames'])
    ),
    'audit' => (function () use ($database, $clock, $task): int {
        $log = new AuditLog($database, $clock, $task['key'], $task['head']);
        for ($line = 0; $line < $task['times']; $line++) {
            $log->append('login', $task['number'], '10.0.0.1', ['round' => $line]);
        }
        return $task['times'];
    })(),
    'crash' => (function () use ($database, $clock, $task): int {
        $log = new AuditLog($database, $clock, $task['key'], $task['head']);
        $database->transaction(function () use ($log): void {
            $log->append('login', 1, '10.0.0.1');
            posix_kill(posix_getpid(), SIGKILL);
        });
        return 0;
    })(),
    'invite' => (new Invites($database, $clock))->use($task['code']),
    'register' => (function () use ($database, $clock): bool {
        try {
            (new People($database, $clock))->addPending('Ann', 'Ann@Example.org', 'hash', 'v1');
            return true;
        } catch (EmailTaken) {
            return false;
        }
    })(),
};
echo json_encode($result);
