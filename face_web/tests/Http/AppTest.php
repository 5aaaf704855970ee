<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Http;

use FaceWeb\App;
use FaceWeb\Config;
use FaceWeb\Http\HttpError;
use FaceWeb\Http\Request;
use FaceWeb\Http\Route;
use FaceWeb\Router;
use FaceWeb\Services;
use FaceWeb\Tests\FaceServer\Peer;
use FaceWeb\Tests\Support\ScriptedFaceServer;
use FaceWeb\Tests\Support\SiteCase;

final class AppTest extends SiteCase
{
    public function testEveryPostOfABrowserNeedsTheTokenOfItsOwnSession(): void
    {
        $another = $this->token();
        $this->newBrowser();
        $this->token();
        foreach (Router::routes() as $route) {
            if (!$route->needsToken()) {
                continue;
            }
            $path = strtr($route->pattern, ['{id}' => '1', '{action}' => 'delete']);
            foreach (['', $another, str_repeat('0', 64)] as $token) {
                $answer = $this->post($path, ['_csrf' => $token]);
                self::assertSame(403, $answer->status, $path);
                self::assertStringContainsString('Your form has expired', $answer->body);
            }
        }
        $isOpen = static fn (Route $route): bool => $route->method === 'POST' && !$route->needsToken();
        $open = array_values(array_filter(Router::routes(), $isOpen));
        self::assertSame(['/exchange'], array_map(static fn (Route $route): string => $route->pattern, $open));
    }

    /** @dataProvider foreignHeaders */
    public function testATokenFromAnotherOriginIsRefused(string $name, string $value): void
    {
        self::assertSame(403, $this->post('/logout', [], [], [$name => $value])->status);
    }

    /** @return list<array{string, string}> */
    public function foreignHeaders(): array
    {
        return [['origin', 'https://evil.example'], ['origin', 'null'], ['origin', 'http://127.0.0.1:99'],
            ['sec-fetch-site', 'cross-site'], ['sec-fetch-site', 'same-site']];
    }

    public function testEveryAnswerHasTheSecurityHeaders(): void
    {
        foreach (['/', '/login', '/nowhere', '/account', '/healthz', '/logout'] as $path) {
            $headers = $this->get($path)->headers;
            $policy = $headers['Content-Security-Policy'];
            self::assertStringContainsString("default-src 'none'", $policy);
            self::assertStringContainsString("frame-ancestors 'none'", $policy);
            self::assertStringContainsString("script-src 'self' 'wasm-unsafe-eval';", $policy);
            $rest = str_replace("'wasm-unsafe-eval'", '', $policy);
            self::assertDoesNotMatchRegularExpression('/unsafe|\*|https?:/', $rest);
            self::assertSame('no-store', $headers['Cache-Control']);
            self::assertSame('nosniff', $headers['X-Content-Type-Options']);
            self::assertStringContainsString('camera=(self)', $headers['Permissions-Policy']);
            self::assertArrayNotHasKey('Strict-Transport-Security', $headers);
        }
    }

    public function testPagesThatAreNotThereOrNotForThisMethodSaySo(): void
    {
        self::assertSame(404, $this->get('/../config.ini')->status);
        self::assertSame(404, $this->get('/index.php')->status);
        $answer = $this->get('/login/password');
        self::assertSame(405, $answer->status);
        self::assertSame('POST', $answer->headers['Allow']);
        $strange = $this->handle(new Request('DELETE', '/account'));
        self::assertSame(405, $strange->status);
    }

    public function testAnErrorThatNobodyThoughtOfTellsOnlyItsNumber(): void
    {
        $this->database->execute('DROP TABLE login_nonce');
        $form = ['purpose' => 'login'];
        $answer = $this->post('/capture', $form, [], ['accept' => 'text/html']);
        self::assertSame(500, $answer->status);
        self::assertSame(1, preg_match('/Reference: ([0-9a-f]{32})/', $answer->body, $found));
        self::assertSame($found[1], $answer->headers['X-Request-Id']);
        self::assertStringNotContainsString('login_nonce', $answer->body);
        $log = (string) file_get_contents("$this->directory/error.log");
        self::assertStringContainsString("[$found[1]] incident: ", $log);
        $json = $this->json($this->post('/capture', $form, [], ['accept' => 'application/json']));
        self::assertSame([false, 'internal'], [$json['ok'], $json['code']]);
    }

    public function testEveryAnswerHasTheIdOfItsRequestAndErrorPagesShowIt(): void
    {
        $ids = [];
        foreach (['/', '/login', '/nowhere', '/account', '/healthz', '/logout'] as $path) {
            $answer = $this->get($path);
            $ids[] = $id = $answer->headers['X-Request-Id'];
            self::assertMatchesRegularExpression('/\A[0-9a-f]{32}\z/', $id);
            self::assertSame($answer->status >= 400, str_contains($answer->body, "Reference: $id"), $path);
        }
        self::assertSame($ids, array_unique($ids));
        $chinese = $this->get('/nowhere', language: 'zh');
        self::assertStringContainsString('编号：' . $chinese->headers['X-Request-Id'], $chinese->body);
        $unread = (new App($this->services))->handle(static fn (): Request => throw HttpError::tooLarge());
        self::assertStringContainsString('Reference: ' . $unread->headers['X-Request-Id'], $unread->body);
    }

    public function testTheCameraIsToldTheReferenceWhereTheDaemonIsNotThere(): void
    {
        $this->daemon->failBefore['identify'] = ScriptedFaceServer::away();
        $form = ['nonce' => $this->nonce('login')];
        $answer = $this->post('/login/face', $form, ['frames' => ScriptedFaceServer::burst('ada')]);
        self::assertSame('unavailable', $this->json($answer)['code']);
        $id = $answer->headers['X-Request-Id'];
        self::assertStringEndsWith("Reference: $id", $this->json($answer)['message']);
        $log = (string) file_get_contents("$this->directory/error.log");
        self::assertStringContainsString("[$id] face login: ", $log);
        $this->database->execute('DROP TABLE login_nonce');
        $broken = $this->post('/capture', ['purpose' => 'login'], [], ['accept' => 'application/json']);
        self::assertStringEndsWith('Reference: ' . $broken->headers['X-Request-Id'], $this->json($broken)['message']);
    }

    public function testTheIdIsTakenFromATrustedProxyAlone(): void
    {
        $ask = fn (string $id, string $from): string => $this->handle(new Request('GET', '/', headers: [
            'x-request-id' => $id,
            'x-forwarded-for' => '198.51.100.7',
        ], remoteAddress: $from))->headers['X-Request-Id'];
        self::assertNotSame('of-the-proxy', $ask('of-the-proxy', '127.0.0.1'));
        $this->configure('trusted_proxies = 127.0.0.1, 10.0.0.0/8, fd00::/8');
        foreach (['127.0.0.1', '10.1.2.3', 'fd00::1'] as $proxy) {
            self::assertSame('of-the-proxy', $ask('of-the-proxy', $proxy));
        }
        foreach (['198.51.100.7', '192.0.2.1', '11.0.0.1', '::1', ''] as $stranger) {
            self::assertNotSame('of-the-proxy', $ask('of-the-proxy', $stranger), $stranger);
        }
        foreach (['', 'a b', "a\nb", "a\r\nSet-Cookie: b", 'a"b', '<b>', 'ü', str_repeat('a', 61), "a\n"] as $none) {
            self::assertMatchesRegularExpression('/\A[0-9a-f]{32}\z/', $ask($none, '127.0.0.1'));
        }
        self::assertSame(str_repeat('A', 60), $ask(str_repeat('A', 60), '127.0.0.1'));
    }

    public function testARequestThatIsTooLargeIsRefusedInWords(): void
    {
        $app = new App($this->services);
        $answer = $app->handle(static fn (): Request => throw HttpError::tooLarge());
        self::assertSame(413, $answer->status);
        self::assertStringContainsString('too much', $answer->body);
    }

    public function testAHeadRequestHasNoBody(): void
    {
        $answer = $this->handle(new Request('HEAD', '/', headers: ['host' => '127.0.0.1:9988']));
        self::assertSame([200, ''], [$answer->status, $answer->body]);
    }

    public function testAnotherNameOfThisMachineLeadsToTheOneThatTheSiteHas(): void
    {
        $headers = ['host' => 'localhost:9988'];
        $answer = $this->handle(new Request('GET', '/login', ['a' => '1 2'], headers: $headers));
        self::assertSame(self::BASE . '/login?a=1+2', $answer->headers['Location']);
        $evil = $this->handle(new Request('GET', '/login', headers: ['host' => 'evil.example']));
        self::assertSame(200, $evil->status);
        self::assertStringNotContainsString('evil.example', $evil->body);
    }

    public function testTheRoughFaceFinderHasABudgetAndTellsNothingOfWhoItIs(): void
    {
        $file = ['frame' => ScriptedFaceServer::burst('somebody', 1)];
        foreach (range(1, 3) as $ignored) {
            $found = $this->json($this->post('/capture/detect', [], $file));
            self::assertSame(['width', 'height', 'faces'], array_keys($found));
            self::assertSame(['box', 'landmarks'], array_keys($found['faces'][0]));
        }
        self::assertSame(429, $this->post('/capture/detect', [], $file)->status);
        $this->clock->advance(1);
        self::assertSame(400, $this->post('/capture/detect', [], ['frame' => ['<svg/>']])->status);
        self::assertSame(413, $this->post('/capture/detect', [], ['frame' => [str_repeat('x', 300000)]])->status);
    }

    public function testHealthSaysWhetherLoginsWork(): void
    {
        self::assertSame('{"ok":true}', $this->get('/healthz')->body);
        $this->daemon->failBefore['ping'] = ScriptedFaceServer::away();
        self::assertSame(503, $this->get('/healthz')->status);
    }

    public function testHealthDoesNotWaitForADaemonThatHangsAsLongAsALoginMay(): void
    {
        $hanging = new Peer([[['read'], ['drain']]]);
        $port = explode(':', $hanging->address)[1];
        file_put_contents("$this->directory/web.token", bin2hex(random_bytes(16)));
        file_put_contents("$this->directory/config.ini", "[server]\nport = $port\n[access]\n"
            . "web_token_file = web.token\n[web]\ndaemon_timeout_s = 120\n");
        $config = Config::load("$this->directory/config.ini");
        $site = new App(new Services($config, $this->clock, $this->sessions, $this->database));
        $answer = $site->handle(static fn (): Request => new Request('GET', '/healthz'));
        $hanging->stop();
        self::assertSame([503, '{"ok":false}'], [$answer->status, $answer->body]);
        $log = (string) file_get_contents("$this->directory/error.log");
        self::assertStringContainsString('did not answer within 2 s', $log);
    }
}
