<?php

/** What the site takes of config.ini, and what it refuses with which remedy. Python's reader: tests/test_config_php.py. */

declare(strict_types=1);

namespace FaceWeb\Tests;

use FaceWeb\Config;
use FaceWeb\ConfigError;
use FaceWeb\Loopback;
use PHPUnit\Framework\TestCase;

final class ConfigTest extends TestCase
{
    private string $directory;

    protected function setUp(): void
    {
        $this->directory = sys_get_temp_dir() . '/config-' . bin2hex(random_bytes(6));
        mkdir($this->directory);
    }

    protected function tearDown(): void
    {
        @unlink($this->directory . '/config.ini');
        rmdir($this->directory);
    }

    private function load(string $text): Config
    {
        $path = $this->directory . '/config.ini';
        file_put_contents($path, $text);
        return Config::load($path);
    }

    public function testTheFileOfTheRepositoryIsTaken(): void
    {
        $config = Config::load(__DIR__ . '/../../config.ini');
        self::assertSame('http://127.0.0.1:9988', $config->web->baseUrl);
        self::assertTrue($config->web->isLoopback());
        self::assertFalse($config->web->isHttps());
    }

    public function testTlsIsSpokenWithEveryMachineButThisAndHereWhereTheOptionsSaySo(): void
    {
        $uses = fn (string $lines): bool => $this->load("[server]\n$lines\n")->server->usesTls();
        $socket = "unix_socket = s\nhost = 192.0.2.1\ntls_ca = ca.pem";
        foreach (['', 'host = localhost', 'host = ::1', $socket] as $plain) {
            self::assertFalse($uses($plain), $plain);
        }
        $secured = ['host = 192.0.2.1', 'host = faces.example.org', 'host = 0.0.0.0', 'host = 127.evil.example'];
        foreach ([...$secured, 'tls_cert = cert.pem', 'tls_ca = ca.pem'] as $lines) {
            self::assertTrue($uses($lines), $lines);
        }
    }

    public function testWhatIsNotGivenHasItsDefault(): void
    {
        $config = $this->load('');
        self::assertSame(
            ['face', false, 'open', false, 3, 900, 28800, 300, [], 15.0],
            [
                $config->web->loginMode, $config->web->faceOnlyAccepted, $config->web->registration,
                $config->web->uploadAccepted, $config->web->burstFrames, $config->web->sessionIdleS,
                $config->web->sessionAbsoluteS, $config->web->freshLoginS, $config->web->trustedProxies,
                $config->web->daemonTimeoutS,
            ],
        );
        self::assertSame(['sqlite', null], [$config->database->driver, $config->database->passwordFile]);
        self::assertSame([10, 10 << 20, 32 << 20], [
            $config->server->maxImages, $config->server->maxImageBytes, $config->server->maxFrameBytes,
        ]);
        self::assertNull($config->server->unixSocket);
    }

    public function testPathsAreAbsoluteFromWhereTheFileStands(): void
    {
        $config = $this->load("[access]\nweb_token_file = ./a//token\n[database]\npath = /elsewhere/users\n"
            . "[server]\nunix_socket = run/sock\n");
        self::assertSame(realpath($this->directory) . '/a/token', $config->access->webTokenFile);
        self::assertSame('/elsewhere/users', $config->database->path);
        self::assertSame(realpath($this->directory) . '/run/sock', $config->server->unixSocket);
        self::assertSame(realpath($this->directory) . '/var/audit.key', $config->web->auditKeyFile);
    }

    public function testProxiesAreAList(): void
    {
        $config = $this->load("[web]\ntrusted_proxies = 10.0.0.0/8, ::1 ,192.0.2.7\n");
        self::assertSame(['10.0.0.0/8', '::1', '192.0.2.7'], $config->web->trustedProxies);
    }

    public function testTheFileThatTheEnvironmentNamesIsTaken(): void
    {
        $path = $this->directory . '/config.ini';
        file_put_contents($path, "[web]\nsite_name = Named by the environment\n");
        putenv(Config::ENVIRONMENT_VARIABLE . "={$path}");
        try {
            self::assertSame('Named by the environment', Config::fromEnvironment()->web->siteName);
        } finally {
            putenv(Config::ENVIRONMENT_VARIABLE);
        }
        self::assertSame('Face login', Config::fromEnvironment()->web->siteName);
    }

    public function testAFaceAloneIsEnoughOnlyOnLoopbackUnlessTheOperatorSaysSo(): void
    {
        $elsewhere = "[web]\nbase_url = https://login.example.org\n";
        self::assertSame('email_face', $this->load($elsewhere . "login_mode = email_face\n")->web->loginMode);
        self::assertSame('face', $this->load($elsewhere . "face_only_accepted = true\n")->web->loginMode);
        self::assertSame('face', $this->load("[web]\nbase_url = https://localhost:8443\n")->web->loginMode);
        $this->expectException(ConfigError::class);
        $this->expectExceptionMessageMatches('/\[web\] login_mode = face: .*email_face or face_then_password/');
        $this->load($elsewhere);
    }

    /** @return list<array{string, string}> text and what the message must hold */
    public function wrongFiles(): array
    {
        return [
            ["[web]\nlogin_mode = smile\n", '[web] login_mode = smile: must be one of face, email_face'],
            ["[web]\nport = 0\n", '[web] port = 0: must lie between 1 and 65535'],
            ["[web]\nport = many\n", '[web] port = many: must be a whole number'],
            ["[web]\nport = 1e3\n", 'must be a whole number'],
            ["[web]\nport =\n", 'must be a whole number'],
            ["[web]\ndaemon_timeout_s = .5\n", 'must be a number such as 0.5'],
            ["[web]\ndaemon_timeout_s = nan\n", 'must be a number such as 0.5'],
            ["[web]\nupload_accepted = yes\n", '[web] upload_accepted = yes: must be true or false'],
            ["[web]\nupload_accepted = True\n", 'must be true or false'],
            ["[web]\nsession_path =\n", 'must be a path'],
            ["[web]\nbase_ur = http://localhost\n", 'unknown option [web] base_ur; there are host, port, base_url'],
            ["[database]\ndsn = x\n", 'unknown option [database] dsn'],
            ["[server]\nprot = 1\n", 'unknown option [server] prot'],
            ["[wbe]\nport = 1\n", 'unknown section [wbe]; there are server, access'],
            ["[web]\nhost = 0.0.0.0\n", '[web] host = 0.0.0.0: must be loopback'],
            ["[web]\nhost = 127.evil.example\n", 'must be loopback'],
            ["[web]\nbase_url = http://localhost:80\n", 'leave out the default port'],
            ["[web]\nbase_url = https://localhost:443\n", 'leave out the default port'],
            ["[web]\nbase_url = http://localhost:65536\n", 'leave out the default port; another lies between'],
            ["[web]\nbase_url = http://[::1::2]\n", 'must be an IPv6 address'],
            ["[web]\ntrusted_proxies = proxy.example\n", 'trusted_proxies = proxy.example: must be an address'],
            ["[web]\ntrusted_proxies = 10.0.0.0/33\n", 'must be an address or a network'],
            ["[web]\ntrusted_proxies = 10.0.0.0/\n", 'must be an address or a network'],
            ["[web]\ntrusted_proxies = 10.0.0.0/8/8\n", 'must be an address or a network'],
            ["[web]\nsession_idle_s = 3600\nsession_absolute_s = 900\n", 'must not exceed session_absolute_s'],
            ["[web]\nburst_frames = 5\n[server]\nmax_images = 4\n", 'must not exceed [server] max_images'],
            ["[web]\nport = 1\nport = 2\n", 'line 3: this is given twice'],
            ["[web]\n[web]\n", 'line 2: this is given twice'],
            ["port = 1\n", 'line 1: an option must stand below a [section]'],
            ["[web]\n port = 1\n", 'line 2: a line must not begin with a blank'],
            ["[web]\nsite_name = a;b\n", 'line 2: a value must not hold'],
            ["[web]\nsite_name = \"a\"\n", 'line 2: a value must not hold'],
            ["[web]\nnull = a\n", "PHP reads the name 'null' as a constant"],
            ["[web]\nPort = 1\n", 'line 2: expected [section]'],
            ["\xef\xbb\xbf[web]\n", 'line 1: remove the invisible character'],
            ["[web]\nsite_name = a\u{202e}b\n", 'line 2: remove the invisible character'],
            ["[web]\nsite_name = \xff\n", 'cannot be read: it must be a readable file in UTF-8'],
        ];
    }

    /** @dataProvider wrongFiles */
    public function testAWrongFileIsRefusedWithWhatToDo(string $text, string $expected): void
    {
        $this->expectException(ConfigError::class);
        $this->expectExceptionMessageMatches('/config\.ini[:,] .*' . preg_quote($expected, '/') . '/');
        $this->load($text);
    }

    public function testAFileThatIsNotThereIsNamed(): void
    {
        $this->expectException(ConfigError::class);
        $this->expectExceptionMessageMatches('~/nowhere/config.ini: it cannot be read~');
        Config::load('/nowhere/config.ini');
    }

    /** @return array<string, array{string}> */
    public function wrongAddresses(): array
    {
        $urls = [
            '', 'localhost', '127.0.0.1:9988', '//localhost', 'ftp://localhost', 'http://', 'http://localhost/',
            'http://localhost/login', 'http://localhost?', 'http://user@localhost', 'http://user:pass@localhost',
            'http://LOCALHOST', 'HTTP://localhost', 'http://local host', 'http://localhost:', 'http://localhost:0',
            'http://localhost:09988', 'http://localhost:99889', 'http://-a', 'http://a-', 'http://a_b', 'http://::1',
            'http://[::1', 'http://[localhost]', 'http://a%20b', 'javascript:alert(1)', 'http://a\\b',
        ];
        return array_combine($urls, array_map(static fn (string $url): array => [$url], $urls));
    }

    /** @dataProvider wrongAddresses */
    public function testABaseUrlIsSchemeHostAndPortAlone(string $url): void
    {
        $this->expectException(ConfigError::class);
        $this->expectExceptionMessageMatches('/\[web\] base_url/');
        $this->load("[web]\nlogin_mode = email_face\nbase_url = {$url}\n");
    }

    public function testABaseUrlMayBeAName(): void
    {
        $good = ['https://a.example', 'http://a-1.example:8080', 'http://[::1]:9988', 'https://10.0.0.7', 'http://a'];
        foreach ($good as $url) {
            $web = $this->load("[web]\nlogin_mode = email_face\nbase_url = {$url}\n")->web;
            self::assertSame($url, $web->baseUrl);
            self::assertSame(str_starts_with($url, 'https:'), $web->isHttps());
            self::assertSame(str_contains($url, '::1'), $web->isLoopback());
        }
    }

    public function testLoopbackIsThisMachineAlone(): void
    {
        foreach (['localhost', '127.0.0.1', '127.255.0.9', '::1', '[::1]', '0:0:0:0:0:0:0:1'] as $host) {
            self::assertTrue(Loopback::holds($host), $host);
        }
        $others = [
            '', 'localhost.example', 'a.localhost', '127.0.0.1.example', '128.0.0.1', '10.0.0.1', '0.0.0.0', '::',
            '::2', '::ffff:127.0.0.1', '127.1', '2130706433', '0x7f.0.0.1',
        ];
        foreach ($others as $host) {
            self::assertFalse(Loopback::holds($host), $host);
        }
    }
}
