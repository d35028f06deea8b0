#!/usr/bin/env Rscript
# SPDX-License-Identifier: Apache-2.0
# Reads a softmax regression's model.h5 without granary, and scores rows.
#
#   Rscript read_model.R model.h5 rows.txt
#
# A row is a line of numbers with commas between; for each the probabilities of the classes are
# written. Other models, and rows that are preprocessed, are refused. Needs the package hdf5r.
library(hdf5r)
words <- commandArgs(trailingOnly = TRUE)
refuse <- function(reason) {
  message(reason)
  quit(status = 1)
}
if (length(words) != 2) refuse("usage: Rscript read_model.R model.h5 rows.txt")
f <- H5File$new(words[1], mode = "r")
about <- h5attr(f, "architecture")
if (!grepl('"type":"softmax"', about, fixed = TRUE)) refuse(paste("found", about, "expected a softmax"))
if (f$exists("preprocessing")) refuse("the model's rows are preprocessed: use `granary predict`")
# R has the first dimension run fastest: what is [in, out] in the file is [out, in] here.
weight <- f[["global/parameters/dense0.weight"]][, ]
bias <- f[["global/parameters/dense0.bias"]][]
f$close_all()
x <- as.matrix(read.csv(words[2], header = FALSE))
z <- sweep(x %*% t(weight), 2, bias, "+")
p <- exp(z - apply(z, 1, max))
p <- p / rowSums(p)
write.table(formatC(p, digits = 6, format = "f"), quote = FALSE, row.names = FALSE, col.names = FALSE)
