<?php

/**
 * A whole site for a test: real database, real throttle, nonces, passwords and audit log; only the daemon, the clock
 * and the browser's end of the session are stand-ins.
 */

declare(strict_types=1);

namespace FaceWeb\Tests\Support;

use FaceWeb\App;
use FaceWeb\Config;
use FaceWeb\Database;
use FaceWeb\Http\Request;
use FaceWeb\Http\Response;
use FaceWeb\Http\Upload;
use FaceWeb\People\People;
use FaceWeb\People\Person;
use FaceWeb\People\Role;
use FaceWeb\Services;
use FaceWeb\Tests\FixedClock;
use PHPUnit\Framework\TestCase;

abstract class SiteCase extends TestCase
{
    protected const BASE = 'http://127.0.0.1:9988';
    protected const PASSWORD = 'correct horse battery';
    /** The cheapest hash that verify() understands: no test needs the real cost. */
    private static ?string $hash = null;

    protected string $directory;
    protected FixedClock $clock;
    protected ArraySessionStore $sessions;
    protected ScriptedFaceServer $daemon;
    protected Database $database;
    protected Services $services;
    /** @var list<int> milliseconds that the site waited */
    protected array $paused = [];
    protected string $cookie = '';
    private string $formerLog = '';

    protected function setUp(): void
    {
        $this->directory = sys_get_temp_dir() . '/site-' . bin2hex(random_bytes(8));
        mkdir($this->directory, 0700);
        $this->formerLog = (string) ini_set('error_log', "$this->directory/error.log");
        $this->clock = new FixedClock();
        $this->sessions = new ArraySessionStore();
        $this->daemon = new ScriptedFaceServer();
        $this->database = Database::sqlite("$this->directory/users.sqlite");
        $this->database->migrate();
        $this->configure('');
    }

    protected function tearDown(): void
    {
        ini_set('error_log', $this->formerLog);
        unset($this->services, $this->database);
        array_map(unlink(...), (array) glob("$this->directory/{,*/}*.*", GLOB_BRACE));
        @rmdir("$this->directory/var");
        @rmdir($this->directory);
    }

    /** The site anew with these lines in [web], without liveness unless they say so; database, daemon and sessions stay. */
    protected function configure(string $web): void
    {
        $web .= str_contains($web, 'liveness') ? '' : "\nliveness = off";
        file_put_contents("$this->directory/config.ini", "[web]\n$web\naudit_key_file = audit.key\n"
            . "audit_head_file = audit.head\n");
        $this->services = $this->fresh();
        $this->services->audit()->prepare();
    }

    protected function people(): People
    {
        return $this->services->people();
    }

    protected function get(string $path, string $accept = 'text/html', string $language = 'en'): Response
    {
        [$path, $query] = explode('?', $path, 2) + [1 => ''];
        parse_str($query, $values);
        $headers = ['accept' => $accept, 'accept-language' => $language, 'host' => '127.0.0.1:9988'];
        return $this->handle(new Request('GET', $path, $values, headers: $headers));
    }

    /**
     * @param array<string, string> $form
     * @param array<string, list<string>> $files field -> pictures
     * @param array<string, string> $headers
     */
    protected function post(string $path, array $form = [], array $files = [], array $headers = []): Response
    {
        $uploads = array_map(static fn (array $all): array => array_map(Upload::ofBytes(...), $all), $files);
        $form += ['_csrf' => $this->token()];
        $headers += ['accept' => $files === [] ? 'text/html' : 'application/json', 'origin' => self::BASE];
        return $this->handle(new Request('POST', $path, [], $form, $uploads, $headers));
    }

    /** @return array<string, mixed> */
    protected function json(Response $response): array
    {
        return json_decode($response->body, true, 16, JSON_THROW_ON_ERROR);
    }

    protected function token(): string
    {
        $this->get('/login');
        $this->get('/account');
        return (string) $this->sessions->read('csrf');
    }

    protected function nonce(string $purpose): string
    {
        return $this->json($this->capture(['purpose' => $purpose]))['nonce'];
    }

    /** @param array<string, mixed> $wishes as the page's script sends them */
    protected function capture(array $wishes): Response
    {
        return $this->postJson('/capture', $wishes);
    }

    /** @param array<string, mixed> $said */
    protected function postJson(string $path, array $said): Response
    {
        $headers = ['accept' => 'application/json', 'content-type' => 'application/json', 'origin' => self::BASE,
            'x-csrf-token' => $this->token()];
        $body = json_encode($said, JSON_THROW_ON_ERROR);
        return $this->handle(new Request('POST', $path, [], [], [], $headers, body: $body));
    }

    /**
     * @param list<string>|string $frames a person's name for a burst of them
     * @return array<string, mixed>
     */
    protected function face(array|string $frames, string $email = '', ?string $nonce = null): array
    {
        $form = ['nonce' => $nonce ?? $this->nonce('login')] + ($email === '' ? [] : ['email' => $email]);
        $pictures = is_string($frames) ? ScriptedFaceServer::burst($frames) : $frames;
        return $this->json($this->post('/login/face', $form, ['frames' => $pictures]));
    }

    /**
     * @param list<string>|string $pictures
     * @param array<string, string> $form
     * @return array<string, mixed>
     */
    protected function register(string $email, array|string $pictures, array $form = []): array
    {
        $form += ['nonce' => $this->nonce('register'), 'name' => 'Ada', 'email' => $email, 'consent' => '1',
            'password' => self::PASSWORD];
        $pictures = is_string($pictures) ? ScriptedFaceServer::burst($pictures) : $pictures;
        return $this->json($this->post('/register', $form, ['frames' => $pictures]));
    }

    /** Another browser. */
    protected function newBrowser(): void
    {
        $this->cookie = '';
    }

    protected function logInByPassword(string $email): Response
    {
        return $this->post('/login/password', ['email' => $email, 'password' => self::PASSWORD]);
    }

    /** An account as a registration leaves it, without the registration. */
    protected function person(string $email, ?string $face = null, Role $role = Role::Person): Person
    {
        $hash = self::$hash ??= password_hash(self::PASSWORD, PASSWORD_ARGON2ID, [
            'memory_cost' => 19456,
            'time_cost' => 2,
            'threads' => 1,
        ]);
        $person = $this->people()->addPending('Ada Lovelace', $email, $hash, $face === null ? null : '2026-11', $role);
        if ($face !== null) {
            $this->daemon->enrolled[$this->people()->startFace($person->id)] = $face;
            $this->people()->faceEnrolled($person->id, [1, 2, 3]);
        }
        $this->people()->activate($person->id);
        return $this->people()->byId($person->id) ?? self::fail('the person is not there');
    }

    /** @return list<string> events, the oldest first */
    protected function events(): array
    {
        return array_reverse(array_column($this->services->audit()->recent(100), 'event'));
    }

    protected function isIn(): bool
    {
        return $this->get('/account')->status === 200;
    }

    /** One request is one process in PHP: the services are made anew. */
    protected function handle(Request $request): Response
    {
        $this->sessions->use($this->cookie);
        $this->services = $this->fresh();
        $response = (new App($this->services))->handle(static fn (): Request => $request);
        $this->cookie = $this->sessions->id();
        return $response;
    }

    private function fresh(): Services
    {
        return new Services(
            Config::load("$this->directory/config.ini"),
            $this->clock,
            $this->sessions,
            $this->database,
            $this->daemon,
            function (int $milliseconds): void {
                $this->paused[] = $milliseconds;
            },
        );
    }
}
