<?php

/** One of the processes that race for a code: says that it is ready, waits, exchanges, says who it is or why not. */

declare(strict_types=1);

use FaceWeb\Audit\AuditLog;
use FaceWeb\Exchange\Clients;
use FaceWeb\Exchange\Codes;
use FaceWeb\Exchange\CodeRefused;
use FaceWeb\Exchange\PairwiseSubjects;
use FaceWeb\People\People;
use FaceWeb\Tests\FixedClock;

require __DIR__ . '/../bootstrap.php';

[, $place, $directory, $clientId, $code, $returnTo, $now] = $argv;
$clock = new FixedClock((int) $now);
$database = str_starts_with($place, 'mariadb:')
    ? FaceWeb\Database::mysql('127.0.0.1', 3306, substr($place, 8), 'root', '')
    : FaceWeb\Database::sqlite($place);
$audit = new AuditLog($database, $clock, "$directory/audit.key", "$directory/audit.head");
$subjects = new PairwiseSubjects($database);
$codes = new Codes($database, $clock, new People($database, $clock), $subjects, $audit);
$client = (new Clients($database, $clock))->find($clientId);
echo "ready\n";
fgets(STDIN);
try {
    echo $codes->exchange($client, $code, $returnTo, '192.0.2.8')->email;
} catch (CodeRefused $refused) {
    echo $refused->reason;
}
