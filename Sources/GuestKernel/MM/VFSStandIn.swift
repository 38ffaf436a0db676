// A stand-in until branch `mm` has merged `vfs`: delete this file then.

extension AddressSpace: InodeMapping {}
extension Inode {
  func page(_ index: UInt64, for write: Bool) throws(Errno) -> UInt64 {
    try page(index, forWrite: write)
  }
  var mapsDevice: (major: UInt32, minor: UInt32) { (0, 0) }
  var mapsNumber: UInt64 { number }
}
extension OpenFile {
  var isMappable: Bool { inode.isMappable }
  var mapsZeroes: Bool { inode.isZeroDevice }
  var mapsName: String { path.description }
  func pread(_ count: Int, at offset: UInt64) throws(Errno) -> [UInt8] {
    try pread(count, at: Int64(bitPattern: offset))
  }
}
