<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Audit;

use FaceWeb\Audit\AuditError;
use FaceWeb\Audit\AuditLog;
use FaceWeb\Audit\AuditReport;
use FaceWeb\Database;
use FaceWeb\Tests\Database\FreshDatabases;
use PHPUnit\Framework\TestCase;
use RuntimeException;

final class AuditLogTest extends TestCase
{
    use FreshDatabases;

    private Database $database;
    private AuditLog $log;

    /** @dataProvider engines */
    public function testALogThatNobodyTouchedIsInOrder(string $engine): void
    {
        $this->begin($engine, 25);
        $report = $this->log->verify();
        self::assertSame([true, 25, [], []], [$report->ok, $report->lines, $report->problems, $report->notes]);
    }

    public function testANewLogIsInOrderBeforeAndAfterItsKeyIsMade(): void
    {
        $this->begin('sqlite', 0);
        self::assertTrue($this->log->verify()->ok);
        self::assertTrue($this->log->prepare());
        self::assertFalse($this->log->prepare());
        self::assertSame([], $this->log->verify()->problems);
        self::assertSame(0600, fileperms($this->keyFile()) & 0777);
        self::assertSame(0600, fileperms($this->headFile()) & 0777);
    }

    public function testALineSaysWhoDidWhatAndKeepsItsDetail(): void
    {
        $this->begin('sqlite', 0);
        $this->log->append('login', 7, '10.0.0.1', ['mode' => 'face', 'n' => 2, 'ok' => true, 'list' => ['a', 1]]);
        $this->log->append('logout', 8, '2001:db8::/64');
        [$newest, $oldest] = $this->log->recent(10);
        self::assertSame(['logout', 8, '2001:db8::/64', []], [
            $newest->event, $newest->userId, $newest->source, $newest->detail(),
        ]);
        self::assertSame(['list' => ['a', 1], 'mode' => 'face', 'n' => 2, 'ok' => true], $oldest->detail());
        self::assertSame([1], array_map(fn ($line) => $line->line, $this->log->recent(10, 2)));
        self::assertSame(['login'], array_map(fn ($line) => $line->event, $this->log->ofUser(7, 10)));
    }

    /** @dataProvider columns */
    public function testAChangedLineIsFound(string $column, int|string $value): void
    {
        $this->begin('sqlite', 9);
        $this->database->execute("UPDATE audit SET $column = ? WHERE line = 4", [$value]);
        $this->assertProblem('line 4 was changed');
    }

    /** @return array<string, array{string, int|string}> */
    public static function columns(): array
    {
        return [
            'the time' => ['at', 5],
            'the event' => ['event', 'logout'],
            'the user' => ['user_id', 99],
            'the source' => ['source', '10.9.9.9'],
            'the detail' => ['detail', '{"round":99}'],
            'the MAC' => ['mac', str_repeat('0', 64)],
        ];
    }

    /** @dataProvider engines */
    public function testALineTakenOutOfTheMiddleIsFound(string $engine): void
    {
        $this->begin($engine, 9);
        $this->database->execute('DELETE FROM audit WHERE line = 4');
        $this->assertProblem('line 4 is missing');
    }

    public function testALineTakenOutAndTheRestRenumberedIsFound(): void
    {
        $this->begin('sqlite', 9);
        $this->database->execute('DELETE FROM audit WHERE line = 4');
        for ($line = 5; $line <= 9; $line++) {
            $this->database->execute('UPDATE audit SET line = ? WHERE line = ?', [$line - 1, $line]);
        }
        $this->assertProblem('line 4 was changed, moved or put in');
    }

    public function testTheFirstLinesTakenOutAreFound(): void
    {
        $this->begin('sqlite', 9);
        $this->database->execute('DELETE FROM audit WHERE line <= 3');
        $this->assertProblem('lines 1 to 3 are missing');
    }

    /** @dataProvider engines */
    public function testLinesCutOffTheEndAreFoundByTheHeadFile(string $engine): void
    {
        $this->begin($engine, 9);
        $this->database->execute('DELETE FROM audit WHERE line = 9');
        $this->assertProblem('the head file says 9: its last lines were cut off');
        $this->database->execute('DELETE FROM audit');
        $this->assertProblem('the head file says 9: its last lines were cut off');
    }

    public function testSwappedLinesAreFound(): void
    {
        $this->begin('sqlite', 9);
        foreach ([[4, 100], [5, 4], [100, 5]] as [$from, $to]) {
            $this->database->execute('UPDATE audit SET line = ? WHERE line = ?', [$to, $from]);
        }
        $this->assertProblem('line 4 was changed, moved or put in');
        $this->assertProblem('line 5 was changed, moved or put in');
    }

    public function testALinePutInIsFoundWhereverItStands(): void
    {
        $this->begin('sqlite', 9);
        foreach ([0, 10] as $line) {
            $this->database->execute(
                'INSERT INTO audit SELECT ?, at, event, user_id, source, detail, mac FROM audit WHERE line = 9',
                [$line]
            );
        }
        $this->assertProblem('line 0 does not belong into the log');
        $this->assertProblem('line 10 was changed, moved or put in');
        $this->assertProblem('head file is 1 lines behind');
    }

    public function testAnotherKeyIsFoundAndSaidToBeThat(): void
    {
        $this->begin('sqlite', 9);
        file_put_contents($this->keyFile(), bin2hex(random_bytes(32)));
        $this->assertProblem('no line fits the key');
        $this->assertProblem('the head file was not sealed with this key');
    }

    public function testAMissingKeyIsFoundAndNothingIsLoggedWithANewOne(): void
    {
        $this->begin('sqlite', 9);
        unlink($this->keyFile());
        $this->assertProblem('restore it from the backup');
        $this->expectException(AuditError::class);
        $this->log->append('login', 1, '10.0.0.1');
    }

    public function testAMissingHeadFileIsFoundAndStaysFoundWhenTheLogGoesOn(): void
    {
        $this->begin('sqlite', 9);
        unlink($this->headFile());
        $this->assertProblem('the head file is missing');
        $this->log->append('login', 1, '10.0.0.1');
        $this->assertProblem('head_missing');
    }

    public function testAForgedHeadFileIsFound(): void
    {
        $this->begin('sqlite', 9);
        $mac = $this->database->row('SELECT mac FROM audit WHERE line = 8')['mac'];
        $this->database->execute('DELETE FROM audit WHERE line = 9');
        $head = json_decode((string) file_get_contents($this->headFile()), true);
        $head['last'] = ['count' => 8, 'mac' => $mac];
        file_put_contents($this->headFile(), json_encode($head));
        $this->assertProblem('the head file was not sealed with this key');
    }

    public function testAnOlderHeadFileIsFound(): void
    {
        $this->begin('sqlite', 6);
        $older = file_get_contents($this->headFile());
        $this->write(3);
        file_put_contents($this->headFile(), $older);
        $this->assertProblem('the head file is 3 lines behind the log');
    }

    public function testLoggingOnDoesNotHideLinesThatWereCutOffUntilAnOperatorAcceptsIt(): void
    {
        $this->begin('sqlite', 9);
        $this->database->execute('DELETE FROM audit WHERE line > 5');
        $this->write(2);
        $this->assertProblem('"found":"lines_missing","head_lines":9,"lines":5');
        self::assertSame('audit_broken', $this->log->recent(3)[2]->event);
        $this->log->accept(1, 'console');
        $report = $this->log->verify();
        self::assertSame([], $report->problems);
        self::assertStringContainsString('lines_missing', implode("\n", $report->notes));
    }

    public function testACrashBeforeTheLineThatTellsOfItDoesNotHideWhatWasCutOff(): void
    {
        $this->begin('sqlite', 9);
        $this->database->execute('DELETE FROM audit WHERE line > 5');
        $this->rollBackAnAppend();
        $this->assertProblem('its last lines were cut off');
        $this->log = $this->anotherLog();
        $this->write(1);
        $this->assertProblem('lines_missing');
    }

    public function testACrashBeforeTheCommitIsANoteAndTheNextLineRecordsIt(): void
    {
        $this->begin('sqlite', 3);
        $this->rollBackAnAppend();
        $report = $this->anotherLog()->verify();
        self::assertTrue($report->ok);
        self::assertStringContainsString('an append is not in the log', $report->notes[0]);
        $this->log = $this->anotherLog();
        $this->write(1);
        $report = $this->log->verify();
        self::assertSame([true, 5], [$report->ok, $report->lines]);
        self::assertStringContainsString('did not come to its end', $report->notes[0]);
    }

    /** @dataProvider engines */
    public function testAKillInTheMidstOfAnAppendLeavesALogThatIsInOrder(string $engine): void
    {
        $this->begin($engine, 3);
        $task = ['do' => 'crash', 'engine' => $engine, 'place' => $this->place, 'now' => $this->clock->now()];
        $task += ['key' => $this->keyFile(), 'head' => $this->headFile()];
        $command = [PHP_BINARY, __DIR__ . '/../Database/worker.php', json_encode($task)];
        $process = proc_open($command, [['pipe', 'r'], ['pipe', 'w']], $pipes);
        fwrite($pipes[0], "go\n");
        self::assertSame("ready\n", stream_get_contents($pipes[1]));
        proc_close($process);
        self::assertTrue($this->log->verify()->ok);
        $this->write(2);
        $report = $this->log->verify();
        self::assertSame([[], 6], [$report->problems, $report->lines]);
    }

    public function testACrashAfterTheCommitBeforeTheHeadIsSettledNeedsNoRepair(): void
    {
        $this->begin('sqlite', 3);
        $announced = '';
        $this->database->transaction(function () use (&$announced): void {
            $this->write(2);
            $announced = file_get_contents($this->headFile());
        });
        file_put_contents($this->headFile(), $announced);
        $report = $this->log->verify();
        self::assertSame([true, 5, []], [$report->ok, $report->lines, $report->notes]);
        $this->log = $this->anotherLog();
        $this->write(1);
        self::assertSame([], $this->log->verify()->notes);
        $this->database->execute('DELETE FROM audit WHERE line = 6');
        self::assertFalse($this->log->verify()->ok);
    }

    /** @dataProvider engines */
    public function testARollBackInTheSameProcessLeavesNoTraceOnceTheLogGoesOn(string $engine): void
    {
        $this->begin($engine, 3);
        $this->rollBackAnAppend();
        $this->write(2);
        $report = $this->log->verify();
        self::assertSame([true, 5, []], [$report->ok, $report->lines, $report->notes]);
    }

    /** @dataProvider engines */
    public function testSeveralLinesInOneTransactionAreOneStepOfTheHead(string $engine): void
    {
        $this->begin($engine, 3);
        try {
            $this->database->transaction(function (): void {
                $this->write(4);
                throw new RuntimeException('no');
            });
        } catch (RuntimeException) {
            self::assertTrue($this->anotherLog()->verify()->ok);
        }
        $this->database->transaction(fn () => $this->write(4));
        $report = $this->anotherLog()->verify();
        self::assertSame([true, 7, []], [$report->ok, $report->lines, $report->notes]);
    }

    /** @dataProvider engines */
    public function testManyProcessesWriteOneChainWithoutAFork(string $engine): void
    {
        $this->begin($engine, 1);
        $task = ['do' => 'audit', 'times' => 8, 'key' => $this->keyFile(), 'head' => $this->headFile()];
        self::assertSame(48, array_sum($this->together(6, $task)));
        $report = $this->log->verify();
        self::assertSame([true, 49, [], []], [$report->ok, $report->lines, $report->problems, $report->notes]);
    }

    public function testManyProcessesThatBeginTheLogMakeOneKey(): void
    {
        $this->begin('sqlite', 0);
        $task = ['do' => 'audit', 'times' => 2, 'key' => $this->keyFile(), 'head' => $this->headFile()];
        $this->together(5, $task);
        self::assertSame([true, 10], [$this->log->verify()->ok, $this->log->verify()->lines]);
    }

    public function testWhenTheHeadCannotBeWrittenNothingIsLogged(): void
    {
        $this->begin('sqlite', 2);
        $log = new AuditLog($this->database, $this->clock, $this->keyFile(), '/nowhere/audit.head');
        try {
            $log->append('login', 1, '10.0.0.1');
            self::fail('it was logged');
        } catch (AuditError) {
            self::assertCount(2, $this->log->recent(10));
        }
    }

    /**
     * @dataProvider secrets
     * @param array<string, mixed> $detail
     */
    public function testSecretsAndFractionsAreRefused(array $detail): void
    {
        $this->begin('sqlite', 0);
        $this->expectException(AuditError::class);
        $this->log->append('login', 1, '10.0.0.1', $detail);
    }

    /** @return list<array{array<string, mixed>}> */
    public static function secrets(): array
    {
        return [[['password' => 'x']], [['Nonce' => 'x']], [['score' => 1]], [['likeness' => 0.87]], [['x' => [0.1]]],
            [['x' => ['a' => ['b']]]]];
    }

    public function testTextFromOutsideIsShortenedAndCannotBreakTheLine(): void
    {
        $this->begin('sqlite', 0);
        $this->log->append('login_refused', null, "10.0.0.1\n\xff" . str_repeat('x', 99), [
            'email' => str_repeat("\u{1F600}", 999) . "\xff",
        ]);
        self::assertSame(300, mb_strlen($this->log->recent(1)[0]->detail()['email']));
        self::assertTrue($this->log->verify()->ok);
    }

    private function begin(string $engine, int $lines): void
    {
        $this->database = $this->database($engine);
        $this->log = $this->anotherLog();
        $this->write($lines);
    }

    private function anotherLog(): AuditLog
    {
        return new AuditLog($this->database, $this->clock, $this->keyFile(), $this->headFile());
    }

    private function write(int $lines): void
    {
        for ($line = 0; $line < $lines; $line++) {
            $this->log->append('login', 7, '10.0.0.1', ['round' => $line]);
            $this->clock->advance(1);
        }
    }

    private function rollBackAnAppend(): void
    {
        try {
            $this->database->transaction(function (): void {
                $this->write(1);
                throw new RuntimeException('no');
            });
        } catch (RuntimeException) {
            return;
        }
    }

    private function assertProblem(string $part): AuditReport
    {
        $report = $this->anotherLog()->verify();
        self::assertFalse($report->ok);
        self::assertStringContainsString($part, implode("\n", $report->problems));
        return $report;
    }

    private function keyFile(): string
    {
        return $this->directory() . '/audit.key';
    }

    private function headFile(): string
    {
        return $this->directory() . '/audit.head';
    }
}
