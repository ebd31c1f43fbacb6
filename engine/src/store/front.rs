//! Stores that stand in front of another one, and do something else with a few calls.

/// Writes those methods of [`ReadStore`](super::ReadStore) that a store in front of another one hands on
/// as they are: which, it says, so that none is handed on by oversight, and none is
/// left to a default that knows nothing of the store behind.
macro_rules! hand_on {
    ($behind:ident: $($method:ident),+ $(,)?) => {
        $($crate::store::hand_on!(@ $behind $method);)+
    };
    (@ $behind:ident read) => {
        fn read(&self, key: &$crate::store::ObjectKey, size_bytes_max: u64) -> Result<Vec<u8>, $crate::store::StoreError> {
            self.$behind.read(key, size_bytes_max)
        }
    };
    (@ $behind:ident read_range) => {
        fn read_range(
            &self,
            key: &$crate::store::ObjectKey,
            offset: u64,
            len_bytes: u64,
        ) -> Result<Vec<u8>, $crate::store::StoreError> {
            self.$behind.read_range(key, offset, len_bytes)
        }
    };
    (@ $behind:ident read_into) => {
        fn read_into(
            &self,
            key: &$crate::store::ObjectKey,
            offset: u64,
            bytes: &mut [u8],
        ) -> Result<(), $crate::store::StoreError> {
            self.$behind.read_into(key, offset, bytes)
        }
    };
    (@ $behind:ident read_prefix) => {
        fn read_prefix(&self, key: &$crate::store::ObjectKey, len_bytes_max: u64) -> Result<Vec<u8>, $crate::store::StoreError> {
            self.$behind.read_prefix(key, len_bytes_max)
        }
    };
    (@ $behind:ident size) => {
        fn size(&self, key: &$crate::store::ObjectKey) -> Result<u64, $crate::store::StoreError> {
            self.$behind.size(key)
        }
    };
    (@ $behind:ident list) => {
        fn list(
            &self,
            area: $crate::store::Area,
            each: &mut dyn FnMut($crate::store::Listed),
        ) -> Result<(), $crate::store::StoreError> {
            self.$behind.list(area, each)
        }
    };
    (@ $behind:ident versions) => {
        fn versions(&self, key: &$crate::store::ObjectKey) -> Result<Vec<$crate::store::Version>, $crate::store::StoreError> {
            self.$behind.versions(key)
        }
    };
    (@ $behind:ident version_that_counts) => {
        fn version_that_counts(&self, key: &$crate::store::ObjectKey) -> Result<$crate::store::Version, $crate::store::StoreError> {
            self.$behind.version_that_counts(key)
        }
    };
    (@ $behind:ident read_version) => {
        fn read_version(
            &self,
            key: &$crate::store::ObjectKey,
            version: &$crate::store::VersionId,
            len_bytes_max: u64,
        ) -> Result<Vec<u8>, $crate::store::StoreError> {
            self.$behind.read_version(key, version, len_bytes_max)
        }
    };
    (@ $behind:ident stored_sum) => {
        fn stored_sum(&self, key: &$crate::store::ObjectKey) -> Result<Option<$crate::store::StoredSum>, $crate::store::StoreError> {
            self.$behind.stored_sum(key)
        }
    };
    (@ $behind:ident locked_until) => {
        fn locked_until(
            &self,
            key: &$crate::store::ObjectKey,
            version: &$crate::store::VersionId,
        ) -> Result<Option<u64>, $crate::store::StoreError> {
            self.$behind.locked_until(key, version)
        }
    };
    (@ $behind:ident capabilities) => {
        fn capabilities(&self) -> $crate::store::Capabilities {
            self.$behind.capabilities()
        }
    };
    (@ $behind:ident location) => {
        fn location(&self) -> String {
            self.$behind.location()
        }
    };
}
pub(crate) use hand_on;
