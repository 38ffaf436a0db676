// What the memory room asks of files besides their pages.

extension AddressSpace: InodeMapping {}

extension OpenFile {
  /// What `/proc/pid/maps` calls it.
  var mapsName: String { path.description }
}
