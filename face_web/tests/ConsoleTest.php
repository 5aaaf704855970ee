<?php

declare(strict_types=1);

namespace FaceWeb\Tests;

use FaceWeb\People\FaceState;
use FaceWeb\Console;
use FaceWeb\People\Role;
use FaceWeb\Tests\Support\ScriptedFaceServer;
use FaceWeb\Tests\Support\SiteCase;

final class ConsoleTest extends SiteCase
{
    /** @var list<string> */
    private array $said = [];

    public function testTheFirstAdministratorLogsInWithThePasswordThatWasTyped(): void
    {
        self::assertSame(0, $this->console(['admin:create', '--email', 'Boss@example.org', '--name', 'The Boss']));
        self::assertSame(303, $this->logInByPassword('boss@example.org')->status);
        self::assertSame(200, $this->get('/admin')->status);
        self::assertSame(['admin_created', 'login'], $this->events());
    }

    /** @dataProvider refusedCommands */
    public function testWhatCannotBeDoneIsRefusedWithStatusTwo(string ...$arguments): void
    {
        $this->person('ada@example.org');
        self::assertSame(2, $this->console(array_values($arguments), 'short'));
        self::assertNotSame([], $this->said);
        self::assertSame(0, $this->people()->countAdmins());
    }

    /** @return list<list<string>> */
    public function refusedCommands(): array
    {
        return [['nonsense'], ['admin:create'], ['admin:create', '--email', 'a@example.org', '--name', 'A'],
            ['admin:create', '--email', 'a@example.org', '--name', 'A', '--password', 'x'],
            ['reconcile', '--everything'],
            ['admin:reset-face', '--email', 'nobody@example.org'], ['invite:create', '--days', '0'], ['ready', 'all'],
            ['client:remove', 'nobody']];
    }

    public function testMigratingTwiceIsHarmless(): void
    {
        self::assertSame(0, $this->console(['migrate']));
        self::assertSame(['The tables are up to date.'], $this->said);
    }

    public function testReconcilingTellsADaemonThatIsAwayFromNothingToDo(): void
    {
        $this->daemon->failBefore['remove'] = ScriptedFaceServer::away();
        self::assertSame(0, $this->console(['reconcile']));
        $person = $this->people()->addPending('Ada', 'ada@example.org', 'hash', '2026-11');
        $this->people()->startFace($person->id);
        self::assertSame(0, $this->console(['reconcile']), 'it may still be running');
        self::assertSame(3, $this->console(['reconcile', '--all']));
        $this->daemon->failBefore = [];
        self::assertSame(0, $this->console(['reconcile', '--all']));
        self::assertSame(0, $this->people()->count());
    }

    public function testAChangedAuditLogIsFoundWithStatusOne(): void
    {
        $this->person('boss@example.org', role: Role::Admin);
        $this->logInByPassword('boss@example.org');
        self::assertSame(0, $this->console(['audit:verify']));
        $this->database->execute("UPDATE audit SET event = 'logout'");
        self::assertSame(1, $this->console(['audit:verify']));
    }

    public function testAFaceIsRemovedByTheOperator(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->people()->setFaceState($ada->id, FaceState::Off);
        self::assertSame(0, $this->console(['admin:reset-face', '--email', 'ada@example.org']));
        self::assertSame([], $this->daemon->enrolled);
        $this->people()->startFace($ada->id);
        $this->people()->faceEnrolled($ada->id, [1]);
        self::assertTrue($this->people()->byId($ada->id)?->hasActiveFace(), 'a reset is a fresh start');
    }

    public function testAForgottenPasswordIsSetAnewByTheOperator(): void
    {
        $person = $this->person('ada@example.org', 'ada');
        $set = ['admin:set-password', '--email', 'ada@example.org'];
        self::assertSame(0, $this->console($set, 'a new sentence of words'));
        $hash = $this->people()->byId($person->id)?->passwordHash;
        self::assertTrue(password_verify('a new sentence of words', (string) $hash));
        self::assertSame(2, $this->console($set, 'short'));
        self::assertSame($hash, $this->people()->byId($person->id)?->passwordHash);
    }

    public function testAnInvitationIsAnAddressThatFillsInTheForm(): void
    {
        $this->configure('registration = invite');
        self::assertSame(0, $this->console(['invite:create', '--days', '2']));
        $path = substr(end($this->said) ?: '', strlen(self::BASE));
        self::assertMatchesRegularExpression('~\A/register\?invite=([0-9a-f]{32})\z~', $path);
        self::assertStringContainsString('value="' . substr($path, -32) . '"', $this->get($path)->body);
    }

    public function testWhetherTheDaemonIsReadyIsAStatus(): void
    {
        self::assertSame(0, $this->console(['ready', 'daemon']));
        $this->daemon->failBefore['ping'] = ScriptedFaceServer::away();
        self::assertSame(3, $this->console(['ready', 'daemon']));
    }

    /** @dataProvider siteAnswers */
    public function testTheSiteIsReadyWhenItSaysThatItIsHealthy(string $answer, int $status): void
    {
        $server = '$s = stream_socket_server("tcp://127.0.0.1:0"); echo stream_socket_get_name($s, false), "\n";'
            . 'while ($c = stream_socket_accept($s, 60)) { fgets($c); fwrite($c, $argv[1]); fclose($c); }';
        $process = proc_open(['php', '-r', $server, $answer], [1 => ['pipe', 'w']], $pipes);
        self::assertIsResource($process);
        try {
            $port = (int) substr((string) strrchr((string) fgets($pipes[1]), ':'), 1);
            $this->configure("port = $port");
            self::assertSame($status, $this->console(['ready', 'site']));
        } finally {
            proc_terminate($process);
            proc_close($process);
        }
        self::assertSame(3, $this->console(['ready', 'site']));
    }

    /** @return array<string, array{string, int}> */
    public function siteAnswers(): array
    {
        return [
            'healthy' => ["HTTP/1.1 200 OK\r\n\r\n{\"ok\":true}", 0],
            'not healthy' => ["HTTP/1.1 503 Service Unavailable\r\n\r\n{\"ok\":false}", 3],
            'no web server' => ["220 mail.example.org\r\n", 3],
            'silent' => ['', 3],
        ];
    }

    public function testAFaceAloneOverTheNetworkIsWarnedOf(): void
    {
        $this->console(['config:show']);
        self::assertStringNotContainsString('warning', implode("\n", $this->said));
        $this->configure("base_url = https://login.example\nface_only_accepted = true");
        $this->console(['config:show']);
        self::assertStringContainsString('a photograph of one may do', implode("\n", $this->said));
        self::assertStringContainsString('registration = invite', implode("\n", $this->said));
        $this->said = [];
        $this->configure("base_url = https://login.example\nface_only_accepted = true\nliveness = both");
        $this->console(['config:show']);
        self::assertStringContainsString('warning=a face alone', implode("\n", $this->said));
        self::assertStringNotContainsString('a photograph of one may do', implode("\n", $this->said));
    }

    public function testEveryCommandIsInTheHelp(): void
    {
        self::assertSame(0, $this->console(['help']));
        $source = (string) file_get_contents(dirname(__DIR__) . '/src/Console.php');
        preg_match_all('/^            \'([a-z:-]+)\' => [$]this->/m', $source, $found);
        self::assertGreaterThan(7, count($found[1]));
        foreach ($found[1] as $command) {
            self::assertStringContainsString("  $command", implode("\n", $this->said));
        }
    }

    /** @param list<string> $arguments */
    private function console(array $arguments, string $password = self::PASSWORD): int
    {
        $say = function (string $line): void {
            $this->said[] = $line;
        };
        return (new Console($this->services, $say, static fn (): string => $password))->run($arguments);
    }
}
