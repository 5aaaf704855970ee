<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Exchange;

use FaceWeb\Exchange\Endpoint;
use FaceWeb\Http\Request;
use FaceWeb\Http\Response;
use FaceWeb\Page\Exchange;
use FaceWeb\Security\Sources;
use FaceWeb\Security\Throttle;

/** The endpoint through its page: what a site's server sends and reads. */
final class PageTest extends ExchangeCase
{
    private Exchange $page;

    protected function setUp(): void
    {
        parent::setUp();
        $throttle = new Throttle($this->database, $this->clock);
        $endpoint = new Endpoint($this->clients, $this->codes, $throttle, $this->audit);
        $this->page = new Exchange($endpoint, new Sources([]));
    }

    public function testACodeIsExchangedByFormFields(): void
    {
        $answer = $this->post($this->form());
        self::assertSame(200, $answer->status);
        self::assertSame('no-store', $answer->headers['Cache-Control']);
        self::assertStringStartsWith('application/json', $answer->headers['Content-Type']);
        $said = json_decode($answer->body, true);
        self::assertSame(['subject', 'email', 'amr', 'auth_time'], array_keys($said));
        self::assertSame(['anna@example.org', ['face']], [$said['email'], $said['amr']]);
        self::assertIsInt($said['auth_time']);
    }

    public function testBothNamesOfEachFieldAreRead(): void
    {
        $openId = ['client_id' => $this->new->id, 'client_secret' => $this->new->secret, 'code' => $this->code()];
        $openId += ['redirect_uri' => self::RETURN_TO, 'grant_type' => 'authorization_code'];
        self::assertSame(200, $this->post($openId)->status);
        $ours = ['client' => $this->new->id, 'secret' => $this->new->secret, 'code' => $this->code()];
        self::assertSame(200, $this->post($ours + ['return_to' => self::RETURN_TO])->status);
    }

    public function testTheClientMayNameItselfByBasicAuthentication(): void
    {
        $form = ['code' => $this->code(), 'return_to' => self::RETURN_TO];
        self::assertSame(200, $this->post($form, $this->basic($this->new->secret))->status);
        $form = ['code' => $this->code(), 'client_id' => $this->new->id] + $form;
        self::assertSame(200, $this->post($form, 'basic ' . substr($this->basic($this->new->secret), 6))->status);
    }

    /**
     * @dataProvider malformed
     * @param array<string, ?string> $change null leaves the field out
     */
    public function testAMalformedRequestIsToldSo(array $change, string $error): void
    {
        $form = array_filter([...$this->form(), ...$change], static fn (?string $value): bool => $value !== null);
        $this->assertRefused(400, $error, $this->post($form));
    }

    /** @return iterable<string, array{array<string, ?string>, string}> */
    public static function malformed(): iterable
    {
        yield 'no code' => [['code' => null], 'invalid_request'];
        yield 'empty code' => [['code' => ''], 'invalid_request'];
        yield 'no return address' => [['return_to' => null], 'invalid_request'];
        yield 'two return addresses' => [['redirect_uri' => self::OTHER], 'invalid_request'];
        yield 'no client' => [['client_id' => null], 'invalid_request'];
        yield 'two clients' => [['client' => 'other'], 'invalid_request'];
        yield 'no secret' => [['client_secret' => null], 'invalid_request'];
        yield 'other grant' => [['grant_type' => 'password'], 'unsupported_grant_type'];
        yield 'wrong code' => [['code' => 'x'], 'invalid_grant'];
        yield 'other return address' => [['return_to' => self::OTHER], 'invalid_grant'];
    }

    public function testCredentialsInTwoPlacesOrForTwoClientsAreRefused(): void
    {
        $header = $this->basic($this->new->secret);
        $this->assertRefused(400, 'invalid_request', $this->post($this->form(), $header));
        $form = ['client_id' => 'other', 'code' => 'x', 'return_to' => self::RETURN_TO];
        $this->assertRefused(400, 'invalid_request', $this->post($form, $header));
        foreach (['Bearer x', 'Basic !', 'Basic ' . base64_encode('no colon')] as $wrong) {
            $this->assertRefused(401, 'invalid_client', $this->post(['code' => 'x', 'return_to' => 'y'], $wrong));
        }
    }

    public function testNothingIsReadFromTheAddress(): void
    {
        $answer = $this->page->answer(new Request('POST', '/exchange', query: $this->form()));
        $this->assertRefused(400, 'invalid_request', $answer);
    }

    public function testAUsedCodeIsRefused(): void
    {
        $form = $this->form();
        $this->post($form);
        $this->assertRefused(400, 'invalid_grant', $this->post($form));
        self::assertContains('code_refused', $this->events());
    }

    public function testAWrongSecretLeavesTheCodeGood(): void
    {
        $form = $this->form();
        $answer = $this->post(['client_secret' => 'wrong'] + $form);
        $this->assertRefused(401, 'invalid_client', $answer);
        self::assertStringStartsWith('Basic ', $answer->headers['WWW-Authenticate']);
        self::assertContains('client_refused', $this->events());
        self::assertSame(200, $this->post($form)->status);
    }

    public function testAnUnknownClientGetsTheSameAnswerAsAWrongSecret(): void
    {
        $wrong = $this->post(['client_secret' => 'wrong'] + $this->form());
        self::assertEquals($wrong, $this->post(['client_id' => 'nobody'] + $this->form()));
    }

    public function testWrongSecretsAreThrottledAndTheRightOneIsNot(): void
    {
        $wrong = ['client_secret' => 'wrong'] + $this->form();
        for ($i = 0; $i < 5; $i++) {
            $this->assertRefused(401, 'invalid_client', $this->post($wrong));
        }
        $audited = count($this->events());
        $answer = $this->post($wrong);
        $this->assertRefused(429, 'invalid_client', $answer);
        self::assertGreaterThanOrEqual(1, (int) $answer->headers['Retry-After']);
        self::assertCount($audited, $this->events(), 'guessing does not fill the audit log');
        self::assertSame(200, $this->post($this->form())->status);
        $this->clock->advance(30);
        $this->assertRefused(401, 'invalid_client', $this->post($wrong));
    }

    public function testABusySiteIsNeverThrottled(): void
    {
        for ($i = 0; $i < 20; $i++) {
            self::assertSame(200, $this->post($this->form())->status);
        }
        for ($i = 0; $i < 20; $i++) {
            $this->assertRefused(400, 'invalid_grant', $this->post(['code' => "c$i"] + $this->form()));
        }
    }

    public function testAFaultOfOursAnswersJsonAndTellsNothing(): void
    {
        $form = $this->form();
        $this->database->execute('DROP TABLE client');
        $former = ini_set('error_log', '/dev/null');
        $answer = $this->post($form);
        ini_set('error_log', (string) $former);
        self::assertSame([500, '{"error":"server_error"}'], [$answer->status, $answer->body]);
    }

    /** @return array<string, string> */
    private function form(): array
    {
        return [
            'client_id' => $this->new->id,
            'client_secret' => $this->new->secret,
            'code' => $this->code(),
            'return_to' => self::RETURN_TO,
        ];
    }

    private function basic(string $secret): string
    {
        return 'Basic ' . base64_encode("{$this->new->id}:$secret");
    }

    /** @param array<string, string> $form */
    private function post(array $form, ?string $authorization = null): Response
    {
        $headers = $authorization === null ? [] : ['authorization' => $authorization];
        $request = new Request('POST', '/exchange', form: $form, headers: $headers, remoteAddress: self::SOURCE);
        return $this->page->answer($request);
    }

    private function assertRefused(int $status, string $error, Response $answer): void
    {
        self::assertSame([$status, $error], [$answer->status, json_decode($answer->body, true)['error']]);
        self::assertSame('no-store', $answer->headers['Cache-Control']);
    }
}
