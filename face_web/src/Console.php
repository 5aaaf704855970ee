<?php

/**
 * The operator's commands. Exit statuses are those of face-server: 0 done, 1 a check found something, 2 usage or a
 * refusal, 3 the daemon cannot be reached, 4 an uncaught error. A password is read from standard input, never from an
 * argument, which everybody on the machine could see.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\Audit\AuditError;
use FaceWeb\Exchange\ClientCommands;
use FaceWeb\FaceServer\Refused;
use FaceWeb\FaceServer\Unreachable;
use FaceWeb\People\EmailTaken;
use FaceWeb\People\InvalidEntry;
use FaceWeb\People\Person;
use FaceWeb\People\Role;
use FaceWeb\People\WrongState;

final class Console
{
    private const DONE = 0;
    private const FOUND = 1;
    private const REFUSED = 2;
    private const UNREACHABLE = 3;
    private const UNCAUGHT = 4;
    private const SOURCE = 'console';
    private const INVITE_DAYS = 7;
    private const HEALTH_TIMEOUT_S = 8;
    private const HELP = [
        'migrate' => 'make or update the tables, and the key of the audit log',
        'reconcile [--all]' => 'clear what a crash left half-made (--all: while the site is stopped, also the newest)',
        'admin:create --email EMAIL --name NAME' => 'make the first administrator; the password is read from the input',
        'admin:set-password --email EMAIL' => 'for somebody who forgot it; read from the input, and all sessions end',
        'admin:reset-face --email EMAIL' => "remove somebody's face, which opens the account to the password again",
        'invite:create [--days N]' => 'make an invitation code for one registration',
        'audit:verify' => 'check that no line of the audit log was changed, taken out or cut off',
        'audit:accept' => 'note that you have looked into what audit:verify found',
        'ready daemon|site' => 'whether the daemon, or the site, answers and can work: 0, else 3',
        'config:show' => 'where the site listens and what it allows, as it was understood',
    ];

    /**
     * @param \Closure(string): void $say prints a line
     * @param \Closure(string): string $askSecret prompts and reads a line that is not shown
     */
    public function __construct(
        private readonly Services $services,
        private readonly \Closure $say,
        private readonly \Closure $askSecret,
    ) {
    }

    /** @param list<string> $arguments */
    public static function main(array $arguments): int
    {
        ini_set('display_errors', 'stderr');
        ini_set('zend.exception_ignore_args', '1');
        $say = static function (string $line): void {
            fwrite(STDOUT, $line . "\n");
        };
        try {
            $console = new self(Services::of(Config::fromEnvironment()), $say, self::hidden(...));
            return $console->run($arguments);
        } catch (ConfigError | DatabaseError $error) {
            fwrite(STDERR, "face_web: {$error->getMessage()}\n");
            return self::REFUSED;
        }
    }

    /** @param list<string> $arguments */
    public function run(array $arguments): int
    {
        try {
            return $this->command($arguments[0] ?? 'help', array_slice($arguments, 1));
        } catch (Unreachable $error) {
            return $this->no("The daemon cannot be reached: {$error->getMessage()}", self::UNREACHABLE);
        } catch (Refused | EmailTaken | InvalidEntry | WrongState | AuditError | DatabaseError $error) {
            return $this->no($error->getMessage(), self::REFUSED);
        } catch (\InvalidArgumentException $error) {
            return $this->no($error->getMessage(), self::REFUSED);
        } catch (\Throwable $error) {
            return $this->no((string) $error, self::UNCAUGHT);
        }
    }

    /** @param list<string> $arguments */
    private function command(string $command, array $arguments): int
    {
        return match ($command) {
            'help', '--help', '-h' => $this->help(self::DONE),
            'migrate' => $this->migrate(),
            'reconcile' => $this->reconcile($arguments),
            'admin:create' => $this->createAdmin($this->options($arguments, ['--email', '--name'])),
            'admin:set-password' => $this->setPassword($this->options($arguments, ['--email'])),
            'admin:reset-face' => $this->resetFace($this->options($arguments, ['--email'])),
            'invite:create' => $this->invite($this->options($arguments, ['--days'])),
            'audit:verify' => $this->verifyAudit(),
            'audit:accept' => $this->acceptAudit(),
            'ready' => $this->ready($arguments),
            'config:show' => $this->showConfig(),
            default => str_starts_with($command, 'client:')
                ? $this->services->clientCommands()->run($command, $arguments, $this->say)
                : $this->help(self::REFUSED),
        };
    }

    private function help(int $status): int
    {
        ($this->say)('usage: php face_web/bin/console COMMAND');
        ($this->say)('The configuration is the file that FACE_LOGIN_CONFIG names, else config.ini.');
        foreach (self::HELP + ClientCommands::HELP as $command => $what) {
            ($this->say)("  $command\n      $what");
        }
        return $status;
    }

    private function migrate(): int
    {
        $steps = $this->services->database()->migrate();
        $made = $this->services->audit()->prepare();
        ($this->say)($steps === 0 ? 'The tables are up to date.' : "The tables were brought up to date: $steps steps.");
        if ($made) {
            ($this->say)("The audit log's key was made: {$this->services->config->web->auditKeyFile}");
        }
        return self::DONE;
    }

    /** @param list<string> $arguments */
    private function reconcile(array $arguments): int
    {
        if (!in_array($arguments, [[], ['--all']], true)) {
            throw new \InvalidArgumentException('reconcile takes nothing but --all.');
        }
        $cleared = $this->services->reconciliation()->run($arguments === []);
        ($this->say)($cleared === 0 ? 'Nothing was left half-made.' : "Half-made and cleared: $cleared.");
        return self::DONE;
    }

    /** @param array<string, string> $options */
    private function createAdmin(array $options): int
    {
        $email = $options['--email'] ?? throw new \InvalidArgumentException('Give --email.');
        $name = $options['--name'] ?? throw new \InvalidArgumentException('Give --name.');
        $password = ($this->askSecret)('Password: ');
        $this->take($this->services->passwords()->objection($password));
        $hash = $this->services->passwords()->hash($password);
        $this->services->database()->transaction(function () use ($name, $email, $hash): void {
            $person = $this->services->people()->addPending($name, $email, $hash, null, Role::Admin);
            $this->services->people()->activate($person->id);
            $this->services->audit()->append('admin_created', $person->id, self::SOURCE);
        });
        ($this->say)("$email is an administrator now and logs in with the password.");
        return self::DONE;
    }

    /** @param array<string, string> $options */
    private function setPassword(array $options): int
    {
        $person = $this->person($options);
        $password = ($this->askSecret)('Password: ');
        $this->take($this->services->account()->changePassword($person, $password, self::SOURCE));
        ($this->say)('The password is set, and everybody who was logged in with the account is logged out.');
        return self::DONE;
    }

    private function take(?string $objection): void
    {
        if ($objection !== null) {
            throw new \InvalidArgumentException("The password cannot be taken ($objection): 10 to 128 characters.");
        }
    }

    /** @param array<string, string> $options */
    private function resetFace(array $options): int
    {
        $person = $this->person($options);
        $gone = $this->services->account()->removeFace($person, self::SOURCE);
        $this->services->people()->unbar($person->id); // who sits at the console is an administrator
        ($this->say)($gone ? 'The face is removed.' : 'The face is out of use; `reconcile` removes its templates.');
        return $gone ? self::DONE : self::UNREACHABLE;
    }

    /** @param array<string, string> $options */
    private function invite(array $options): int
    {
        $days = $options['--days'] ?? (string) self::INVITE_DAYS;
        if (preg_match('/\A[1-9][0-9]{0,2}\z/', $days) !== 1) {
            throw new \InvalidArgumentException('--days must be 1 to 999.');
        }
        $code = $this->services->invites()->create(null, 86400 * (int) $days);
        $this->services->audit()->append('admin_invited', null, self::SOURCE, ['days' => (int) $days]);
        ($this->say)("{$this->services->config->web->baseUrl}/register?invite=$code");
        return self::DONE;
    }

    private function verifyAudit(): int
    {
        $report = $this->services->audit()->verify();
        foreach ([...$report->notes, ...$report->problems] as $line) {
            ($this->say)($line);
        }
        $verdict = $report->ok ? "is in order: $report->lines lines." : 'is NOT in order.';
        ($this->say)("The audit log $verdict");
        return $report->ok ? self::DONE : self::FOUND;
    }

    private function acceptAudit(): int
    {
        $this->services->audit()->accept(null, self::SOURCE);
        ($this->say)('Noted in the audit log.');
        return self::DONE;
    }

    /** @param list<string> $arguments */
    private function ready(array $arguments): int
    {
        $isReady = match ($arguments) {
            ['daemon'] => $this->services->faceServer()->ping(),
            ['site'] => $this->siteAnswers(),
            default => throw new \InvalidArgumentException('ready takes daemon or site.'),
        };
        ($this->say)($isReady ? 'ready' : 'not ready');
        return $isReady ? self::DONE : self::UNREACHABLE;
    }

    /** Asks the site itself, so that what stands between its address and the daemon is asked too. */
    private function siteAnswers(): bool
    {
        $web = $this->services->config->web;
        $host = self::bracketed($web->host);
        $socket = @stream_socket_client("tcp://$host:$web->port", timeout: 2);
        if (!is_resource($socket)) {
            return false;
        }
        stream_set_timeout($socket, self::HEALTH_TIMEOUT_S);
        fwrite($socket, "GET /healthz HTTP/1.0\r\nHost: $host:$web->port\r\n\r\n");
        $status = (string) fgets($socket);
        fclose($socket);
        return preg_match('~\AHTTP/1\.[01] 200 ~', $status) === 1;
    }

    private function showConfig(): int
    {
        $config = $this->services->config;
        [$web, $server] = [$config->web, $config->server];
        $shown = [
            'listen' => self::bracketed($web->host) . ":$web->port",
            'baseUrl' => $web->baseUrl,
            'daemon' => $server->unixSocket ?? self::bracketed($server->host) . ":$server->port",
            'loginMode' => $web->loginMode,
            'liveness' => $web->liveness,
            'registration' => $web->registration,
            'sessionPath' => $web->sessionPath,
        ];
        $warnings = $this->services->config->warnings();
        if ($warnings !== []) {
            $shown['warning'] = implode('; ', $warnings);
        }
        foreach ($shown as $name => $value) {
            ($this->say)("$name=$value");
        }
        return self::DONE;
    }

    private static function bracketed(string $host): string
    {
        return str_contains($host, ':') ? '[' . trim($host, '[]') . ']' : $host;
    }

    /** @param array<string, string> $options */
    private function person(array $options): Person
    {
        $email = $options['--email'] ?? throw new \InvalidArgumentException('Give --email.');
        return $this->services->people()->byEmail($email)
            ?? throw new \InvalidArgumentException("Nobody has the email $email.");
    }

    /**
     * @param list<string> $arguments
     * @param list<string> $known
     * @return array<string, string>
     */
    private function options(array $arguments, array $known): array
    {
        $options = [];
        foreach (array_chunk($arguments, 2) as $pair) {
            if (count($pair) !== 2 || !in_array($pair[0], $known, true) || isset($options[$pair[0]])) {
                $use = implode(', ', $known);
                throw new \InvalidArgumentException("'$pair[0]' is no option with a value; use $use");
            }
            $options[$pair[0]] = $pair[1];
        }
        return $options;
    }

    private function no(string $why, int $status): int
    {
        ($this->say)($why);
        return $status;
    }

    /** On a terminal nothing of it is shown; otherwise the first line of the input. */
    private static function hidden(string $prompt): string
    {
        $terminal = stream_isatty(STDIN);
        if ($terminal) {
            fwrite(STDERR, $prompt);
            shell_exec('stty -echo');
        }
        try {
            return rtrim((string) fgets(STDIN), "\r\n");
        } finally {
            if ($terminal) {
                shell_exec('stty echo');
                fwrite(STDERR, "\n");
            }
        }
    }
}
