<?php

/** A site that lets people in by face login, in plain PHP. Run it: see docs/integrate.md. */

declare(strict_types=1);

$login = getenv('FACE_LOGIN');            // https://login.example.org
$returnTo = getenv('RETURN_TO');          // https://this.example.org/back, exactly as registered
session_start(['name' => 'php_example', 'use_strict_mode' => true, 'cookie_httponly' => true,
    'cookie_samesite' => 'Lax', 'cookie_secure' => str_starts_with($returnTo, 'https:')]);

$identity = static function (string $code) use ($login, $returnTo): ?array {
    $form = ['grant_type' => 'authorization_code', 'code' => $code, 'return_to' => $returnTo,
        'client_id' => getenv('CLIENT_ID'), 'client_secret' => getenv('CLIENT_SECRET')];
    $answer = @file_get_contents("$login/exchange", false, stream_context_create(['http' => ['method' => 'POST',
        'header' => 'Content-Type: application/x-www-form-urlencoded', 'content' => http_build_query($form),
        'follow_location' => 0, 'timeout' => 10]]));                  // a status other than 200 gives false
    return $answer === false ? null : json_decode($answer, true);
};

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/login') {
    $_SESSION['state'] = bin2hex(random_bytes(16));
    header("Location: $login/login?" . http_build_query(['client' => getenv('CLIENT_ID'), 'return_to' => $returnTo,
        'state' => $_SESSION['state']]));
} elseif ($path === parse_url($returnTo, PHP_URL_PATH)) {
    $state = $_SESSION['state'] ?? '';
    unset($_SESSION['state']);                                        // one answer per question
    $answered = is_string($_GET['state'] ?? null) && is_string($_GET['code'] ?? null) && $state !== '';
    $who = $answered && hash_equals($state, $_GET['state']) ? $identity($_GET['code']) : null;
    if (!isset($who['subject'])) {
        http_response_code(403);
        exit('Not signed in. <a href="/login">Try again</a>');
    }
    session_regenerate_id(true);
    $_SESSION['who'] = $who;                                          // look your user up by $who['subject']
    header('Location: /');
} else {
    $who = $_SESSION['who'] ?? null;
    echo $who === null ? '<a href="/login">Sign in</a>'
        : 'Signed in as ' . htmlspecialchars("$who[email] ($who[subject]) by " . implode(' + ', $who['amr']));
}
