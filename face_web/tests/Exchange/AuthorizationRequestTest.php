<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Exchange;

use FaceWeb\Exchange\AuthorizationRequest;
use FaceWeb\Exchange\RequestRefused;

final class AuthorizationRequestTest extends ExchangeCase
{
    public function testOurNamesAndOpenIdConnectsMeanTheSame(): void
    {
        $openId = ['client_id' => $this->new->id, 'redirect_uri' => self::RETURN_TO, 'state' => self::STATE];
        $openId += ['response_type' => 'code', 'scope' => 'openid', 'nonce' => 'n'];
        $both = $openId + $this->query();
        foreach ([$this->query(), $openId, $both] as $query) {
            $request = AuthorizationRequest::read($query, $this->clients);
            self::assertSame($this->new->id, $request->client->id);
            self::assertSame(self::RETURN_TO, $request->returnTo);
            self::assertSame(self::STATE, $request->state);
        }
    }

    /**
     * @dataProvider refused
     * @param array<string, mixed> $change
     */
    public function testARequestThatIsRefusedByName(array $change, string $reason): void
    {
        try {
            AuthorizationRequest::read($change + $this->query(), $this->clients);
            self::fail('it was accepted');
        } catch (RequestRefused $refused) {
            self::assertSame($reason, $refused->reason);
        }
    }

    /** @return iterable<string, array{array<string, mixed>, string}> */
    public static function refused(): iterable
    {
        yield 'unknown client' => [['client' => 'nobody'], 'unknown_client'];
        yield 'no client' => [['client' => ''], 'unknown_client'];
        yield 'a list as client' => [['client' => ['x']], 'malformed'];
        yield 'two clients' => [['client_id' => 'x'], 'malformed'];
        yield 'two addresses' => [['redirect_uri' => self::OTHER], 'malformed'];
        yield 'a list as address' => [['return_to' => [self::RETURN_TO]], 'malformed'];
        yield 'foreign address' => [['return_to' => 'https://evil.example/'], 'return_address_unregistered'];
        yield 'no address' => [['return_to' => ''], 'return_address_unregistered'];
        yield 'address with more' => [['return_to' => self::RETURN_TO . '/x'], 'return_address_unregistered'];
        yield 'script as address' => [['return_to' => 'javascript:alert(1)'], 'return_address_unregistered'];
        yield 'token flow' => [['response_type' => 'token'], 'response_type_unsupported'];
        yield 'no state' => [['state' => ''], 'state_unfit'];
        yield 'short state' => [['state' => '123456789012345'], 'state_unfit'];
        yield 'long state' => [['state' => str_repeat('s', 513)], 'state_unfit'];
        yield 'line break in the state' => [['state' => "0123456789abcdef\r\nX: y"], 'state_unfit'];
        yield 'line break after the state' => [['state' => "0123456789abcdef\n"], 'state_unfit'];
        yield 'list as state' => [['state' => ['0123456789abcdef']], 'state_unfit'];
    }
}
