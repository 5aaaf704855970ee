<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Http;

use FaceWeb\App;
use FaceWeb\Http\HttpError;
use FaceWeb\Http\Request;
use FaceWeb\Http\Route;
use FaceWeb\Router;
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
            self::assertStringContainsString("default-src 'none'", $headers['Content-Security-Policy']);
            self::assertStringContainsString("frame-ancestors 'none'", $headers['Content-Security-Policy']);
            self::assertDoesNotMatchRegularExpression('/unsafe|\*|https?:/', $headers['Content-Security-Policy']);
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
        self::assertSame(1, preg_match('/number: ([0-9a-f]{12})/', $answer->body, $found));
        self::assertStringNotContainsString('login_nonce', $answer->body);
        $log = (string) file_get_contents("$this->directory/error.log");
        self::assertStringContainsString("incident $found[1]", $log);
        $json = $this->json($this->post('/capture', $form, [], ['accept' => 'application/json']));
        self::assertSame([false, 'internal'], [$json['ok'], $json['code']]);
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
        $file = ['frame' => ["\xff\xd8\xff" . 'x']];
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
}
