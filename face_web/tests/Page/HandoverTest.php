<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Page;

use FaceWeb\Http\Response;
use FaceWeb\Tests\Support\SiteCase;

final class HandoverTest extends SiteCase
{
    private const BACK = 'https://shop.example/back';
    private const STATE = 'state-of-the-shop-1234';

    public function testAfterTheLoginTheBrowserGoesBackWithACodeThatTheSiteExchanges(): void
    {
        $site = $this->services->clients()->add('Shop', [self::BACK]);
        $this->person('ada@example.org', 'ada');
        $page = $this->arrive($site->id);
        self::assertStringContainsString('Shop', $page->body);
        $policy = $page->headers['Content-Security-Policy'];
        self::assertStringContainsString("form-action 'self' https://shop.example", $policy);
        $location = $this->face('ada')['location'];
        self::assertStringStartsWith(self::BACK . '?', $location);
        parse_str((string) parse_url($location, PHP_URL_QUERY), $query);
        self::assertSame(self::STATE, $query['state']);
        $form = ['client_id' => $site->id, 'client_secret' => $site->secret, 'code' => (string) $query['code'],
            'redirect_uri' => self::BACK, '_csrf' => ''];
        $said = $this->json($this->post('/exchange', $form));
        self::assertSame('ada@example.org', $said['email']);
        self::assertSame(['face'], $said['amr']);
        self::assertSame(400, $this->post('/exchange', $form)->status);
    }

    public function testAPasswordLoginGoesBackAsWellAndTheNextOneStaysHere(): void
    {
        $site = $this->services->clients()->add('Shop', [self::BACK]);
        $this->person('ada@example.org');
        $this->get($this->request($site->id));
        self::assertStringStartsWith(self::BACK, $this->logInByPassword('ada@example.org')->headers['Location']);
        $this->post('/logout');
        self::assertSame('/account', $this->logInByPassword('ada@example.org')->headers['Location']);
    }

    public function testThePageOfTheSecondFactorMayLeadBackToTheSite(): void
    {
        $this->configure('login_mode = face_then_password');
        $site = $this->services->clients()->add('Shop', [self::BACK]);
        $this->person('ada@example.org', 'ada');
        $this->get($this->request($site->id));
        $this->face('ada', 'ada@example.org');
        $policy = $this->get('/login/second')->headers['Content-Security-Policy'];
        self::assertStringContainsString("form-action 'self' https://shop.example;", $policy);
        $back = $this->post('/login/second', ['password' => self::PASSWORD])->headers['Location'];
        self::assertStringStartsWith(self::BACK, $back);
    }

    public function testARequestThatIsNotRegisteredIsAnsweredHereAndLeadsNowhere(): void
    {
        $site = $this->services->clients()->add('Shop', [self::BACK]);
        $this->person('ada@example.org');
        $asked = ['/login?client=nobody&return_to=https://evil.example/&state=' . self::STATE,
            "/login?client=$site->id&return_to=https://evil.example/&state=" . self::STATE,
            "/login?client=$site->id&return_to=" . self::BACK . '&state=1', '/login?return_to=//evil.example'];
        foreach ($asked as $request) {
            $page = $this->get($request);
            self::assertSame(400, $page->status);
            self::assertStringNotContainsString('evil', $page->body);
            self::assertSame('/account', $this->logInByPassword('ada@example.org')->headers['Location']);
            $this->post('/logout');
        }
    }

    public function testWhoIsLoggedInAlreadyGoesBackAtOnceWhileTheLoginIsFresh(): void
    {
        $site = $this->services->clients()->add('Shop', [self::BACK]);
        $this->person('ada@example.org', 'ada');
        $this->face('ada');
        self::assertStringStartsWith(self::BACK, $this->arrive($site->id)->headers['Location']);
        $this->clock->advance(301);
        $page = $this->arrive($site->id);
        self::assertSame(200, $page->status);
        self::assertStringStartsWith(self::BACK, $this->face('ada')['location']);
    }

    public function testOneLoginIsHandedOnOnlySoOften(): void
    {
        $site = $this->services->clients()->add('Shop', [self::BACK]);
        $this->person('ada@example.org', 'ada');
        $this->face('ada');
        for ($time = 0; $time < 20; $time++) {
            self::assertStringStartsWith(self::BACK, $this->arrive($site->id)->headers['Location']);
        }
        self::assertSame(200, $this->arrive($site->id)->status);
        $this->clock->advance(1);
        self::assertStringStartsWith(self::BACK, $this->face('ada')['location']);
        self::assertStringStartsWith(self::BACK, $this->arrive($site->id)->headers['Location']);
    }

    /** What the browser shows after the site has sent it here; its request does not stay in the address. */
    private function arrive(string $client): Response
    {
        self::assertSame('/login', $this->get($this->request($client))->headers['Location']);
        return $this->get('/login');
    }

    private function request(string $client): string
    {
        return "/login?client=$client&return_to=" . rawurlencode(self::BACK) . '&state=' . self::STATE;
    }
}
