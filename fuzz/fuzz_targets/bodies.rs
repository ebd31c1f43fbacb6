#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    indelible_fuzz::codec("genesis-body", data);
    indelible_fuzz::codec("authorize-body", data);
    indelible_fuzz::codec("revoke-body", data);
    indelible_fuzz::codec("snapshot-body", data);
    indelible_fuzz::codec("attest-body", data);
    indelible_fuzz::codec("rekey-body", data);
    indelible_fuzz::codec("epoch-share", data);
    indelible_fuzz::codec("policy", data);
});
