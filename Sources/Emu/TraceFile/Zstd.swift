import CZstd

/// Packs bytes, again and again with the same tables.
///
/// - SeeAlso: RFC 8878, "Zstandard Compression and the 'application/zstd' Media Type".
final class Packer {
  private let context = ZSTD_createCCtx()
  private let level: Int32

  init(level: Int32) { self.level = level }

  deinit { ZSTD_freeCCtx(context) }

  /// The packed bytes; `nil` where packing does not make them fewer.
  func pack(_ bytes: [UInt8]) -> [UInt8]? {
    guard let context, bytes.count > 64 else { return nil }
    let room = ZSTD_compressBound(bytes.count)
    var isPacked = false
    let packed = [UInt8](unsafeUninitializedCapacity: room) { buffer, used in
      let count = bytes.withUnsafeBytes {
        ZSTD_compressCCtx(
          context, buffer.baseAddress, room, $0.baseAddress, bytes.count, level)
      }
      isPacked = ZSTD_isError(count) == 0 && count < bytes.count
      used = isPacked ? count : 0
    }
    return isPacked ? packed : nil
  }
}

/// Unpacks what ``Packer`` has packed.
final class Unpacker {
  private let context = ZSTD_createDCtx()

  deinit { ZSTD_freeDCtx(context) }

  /// The bytes, which must be `count`; `nil` where they are not.
  func unpack(_ packed: [UInt8], count: Int) -> [UInt8]? {
    guard let context else { return nil }
    var isWhole = false
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
      let got = packed.withUnsafeBytes {
        ZSTD_decompressDCtx(context, buffer.baseAddress, count, $0.baseAddress, packed.count)
      }
      isWhole = ZSTD_isError(got) == 0 && got == count
      used = isWhole ? count : 0
    }
    return isWhole ? bytes : nil
  }
}
