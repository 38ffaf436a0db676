// What the memory room asks of files, in its own words.

extension Inode {
  func addMapping(_ space: AddressSpace) {}
  func removeMapping(_ space: AddressSpace) {}
  /// What `/proc/pid/maps` shows as device and number.
  var mapsDevice: (major: UInt32, minor: UInt32) { (0, 0) }
  var mapsNumber: UInt64 { 0 }
}

extension OpenFile {
  var isReadable: Bool { flags & 3 != 1 }
  var isWritable: Bool { flags & 3 != 0 }
  var isMappable: Bool { true }
  var mapsZeroes: Bool { false }
  var mapsName: String { "" }
}
